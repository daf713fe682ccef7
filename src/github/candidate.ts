import type { z } from 'zod';
import type { TaskTrigger } from '../core/ports/store.ts';
import {
  issueAssigned,
  issueCommentCreated,
  issueLabeled,
  issueOpened,
  reviewCommentCreated,
  reviewSubmitted,
} from './payloads.ts';

/** Something a person did on GitHub that may ask for work; whether it does is decided in `trigger-rules.ts` and `gate.ts`. */
export interface Candidate {
  repository: { owner: string; name: string; ownerIsOrganization: boolean; installationId: number };
  /** Who did it. The gate asks about them, whoever wrote the issue. */
  sender: { id: number; login: string; isBot: boolean };
  /** The issue's or pull request's number. */
  number: number;
  /** What GitHub says of the sender, `null` where it says it of another or not at all. */
  association: string | null;
  /** The App through which it was written, or `null`. */
  viaAppId: number | null;
  /** What can start a task, by kind; empty where only a task that is there can go on. */
  labels: string[];
  assignees: string[];
  /** Text in which a mention counts, or `null`. */
  mentionText: string | null;
  /** Whether it goes on with a task that owns the number, without a mention. */
  continues: boolean;
  said: { kind: TaskTrigger['kind']; id: number; text: string };
  /** The review that it belongs to, which is taken as a whole; see `review.ts`. */
  review: { id: number; isApproval: boolean } | null;
}

type Reader = (payload: unknown) => Candidate | z.ZodError;

/** By `event.action`. */
export const readers: Record<string, Reader> = {
  'issues.opened': reader(issueOpened, ({ issue, ...common }) => ({
    ...from(common, issue.number),
    association: issue.author_association,
    viaAppId: issue.performed_via_github_app?.id ?? null,
    labels: (issue.labels ?? []).map((label) => label.name),
    assignees: (issue.assignees ?? []).map((assignee) => assignee.login),
    mentionText: `${issue.title}\n\n${issue.body}`,
    said: { kind: 'issue', id: issue.id, text: issue.body },
  })),
  'issues.labeled': reader(issueLabeled, ({ issue, label, ...common }) => ({
    ...from(common, issue.number),
    labels: label === undefined ? [] : [label.name],
    said: { kind: 'issue', id: issue.id, text: issue.body },
  })),
  'issues.assigned': reader(issueAssigned, ({ issue, assignee, ...common }) => ({
    ...from(common, issue.number),
    assignees: assignee == null ? [] : [assignee.login],
    said: { kind: 'issue', id: issue.id, text: issue.body },
  })),
  'issue_comment.created': reader(issueCommentCreated, ({ issue, comment, ...common }) => ({
    ...from(common, issue.number),
    association: comment.author_association,
    viaAppId: comment.performed_via_github_app?.id ?? null,
    // A mention starts work on an issue; a pull request that is not ours is not ours to push to.
    mentionText: issue.pull_request == null ? comment.body : null,
    continues: true,
    said: { kind: 'issue_comment', id: comment.id, text: comment.body },
  })),
  'pull_request_review_comment.created': reader(reviewCommentCreated, ({ pull_request: pull, comment, ...common }) => ({
    ...from(common, pull.number),
    association: comment.author_association,
    continues: true,
    said: { kind: 'review_comment', id: comment.id, text: lineComment(comment) },
    review: comment.pull_request_review_id == null ? null : { id: comment.pull_request_review_id, isApproval: false },
  })),
  'pull_request_review.submitted': reader(reviewSubmitted, ({ pull_request: pull, review, ...common }) => ({
    ...from(common, pull.number),
    association: review.author_association,
    continues: true,
    said: { kind: 'review', id: review.id, text: review.body },
    review: { id: review.id, isApproval: review.state.toLowerCase() === 'approved' },
  })),
};

/** A comment on a line, with the lines that it is about. */
export function lineComment(comment: {
  body: string;
  path: string;
  line?: number | null | undefined;
  original_line?: number | null | undefined;
  diff_hunk: string;
}): string {
  const line = comment.line ?? comment.original_line;
  const where = line == null ? comment.path : `${comment.path}:${line}`;
  return `On ${where}:\n\n${fenced(comment.diff_hunk)}\n\n${comment.body}`;
}

/** A fence longer than any in the text, so that the text cannot end it. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}diff\n${text}\n${fence}`;
}

interface Common {
  repository: { name: string; owner: { login: string; type: string } };
  sender: { id: number; login: string; type: string };
  installation: { id: number };
}

function from({ repository, sender, installation }: Common, number: number): Omit<Candidate, 'said'> {
  return {
    repository: {
      owner: repository.owner.login,
      name: repository.name,
      ownerIsOrganization: repository.owner.type === 'Organization',
      installationId: installation.id,
    },
    sender: {
      id: sender.id,
      login: sender.login,
      isBot: sender.type !== 'User' || sender.login.endsWith('[bot]'),
    },
    number,
    association: null,
    viaAppId: null,
    labels: [],
    assignees: [],
    mentionText: null,
    continues: false,
    review: null,
  };
}

function reader<S extends z.ZodType>(schema: S, toCandidate: (payload: z.infer<S>) => Candidate): Reader {
  return (payload) => {
    const parsed = schema.safeParse(payload);
    return parsed.success ? toCandidate(parsed.data) : parsed.error;
  };
}
