import type { RepositoryRecord, TaskTrigger } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import { lineComment, type Candidate } from './candidate.ts';
import type { InstallationCalls } from './installation-call.ts';

/**
 * What a candidate says, as one trigger. GitHub sends a review as one event for the review and one for
 * each of its comments; asked for as a whole, all of them give the same trigger, which is then taken
 * once, so that a review with ten comments is one turn. `null`: it says nothing that asks for work.
 */
export async function saidBy(
  calls: InstallationCalls,
  repository: RepositoryRecord,
  candidate: Candidate,
  signal: AbortSignal,
): Promise<Pick<TaskTrigger, 'kind' | 'id' | 'text'> | null> {
  const { said, review } = candidate;
  const whole = review === null ? null : await readReview(calls, repository, candidate, review.id, signal);
  // Without the review, deleted since or not told of, what came with the event stands for itself.
  if (whole === null) {
    const isSilent = said.kind !== 'issue' && said.text.trim() === '';
    return isSilent || review?.isApproval === true ? null : said;
  }
  const { body, isApproval, comments } = whole;
  const [first] = comments;
  if (first === undefined) {
    if (isApproval || body.trim() === '') return null;
    return { kind: 'review', id: review!.id, text: body };
  }
  if (comments.length === 1 && body.trim() === '') return { kind: 'review_comment', id: first.id, text: first.text };
  const parts = [body.trim(), ...comments.map(({ text }) => text)].filter((part) => part !== '');
  return { kind: 'review', id: review!.id, text: parts.join('\n\n---\n\n') };
}

interface WholeReview {
  body: string;
  isApproval: boolean;
  comments: { id: number; text: string }[];
}

async function readReview(
  calls: InstallationCalls,
  repository: RepositoryRecord,
  { number, sender }: Candidate,
  reviewId: number,
  signal: AbortSignal,
): Promise<WholeReview | null> {
  try {
    return await calls.run(
      repository,
      async (octokit, at) => {
        const review = { ...at, pull_number: number, review_id: reviewId };
        const { data } = await octokit.rest.pulls.getReview(review);
        // Only the sender was let in by the gate.
        if (data.user?.id !== sender.id) return null;
        const comments = await octokit.paginate(octokit.rest.pulls.listCommentsForReview, { ...review, per_page: 100 });
        return {
          body: data.body,
          isApproval: data.state.toLowerCase() === 'approved',
          comments: comments
            .filter((comment) => comment.user?.id === sender.id)
            .map((comment) => ({ id: comment.id, text: lineComment(comment) })),
        };
      },
      signal,
    );
  } catch (error) {
    if (error instanceof BerthError && error.code === 'not_found') return null;
    throw error;
  }
}
