import type { Forge, ForgePull } from '../core/ports/forge.ts';
import type { RepositoryRecord, Store } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import { noreplyEmail } from './addresses.ts';
import type { Connection } from './connection.ts';
import type { InstallationCalls, RepositoryCall } from './installation-call.ts';
import { repositoryAt } from './repository-at.ts';

const perPage = 100;
/** The bot's id never changes, so one look is enough for as long as the App is the same. */
type BotIds = Map<number, number>;

/** The `Forge` port on GitHub. */
export function createGithubForge(store: Store, connection: Connection, calls: InstallationCalls): Forge {
  const botIds: BotIds = new Map();

  async function findPull(repository: RepositoryRecord, branch: string, signal: AbortSignal): Promise<ForgePull | null> {
    const found = await calls.run(
      repository,
      async (octokit, at) => (await octokit.rest.pulls.list({ ...at, state: 'open', head: `${at.owner}:${branch}` })).data,
      signal,
    );
    // GitHub ignores a `head` that it cannot read, and then lists everything. A fork's branch is not ours.
    const pull = found.find((each) => each.head.ref === branch && each.head.repo?.id === each.base.repo.id);
    return pull === undefined ? null : { number: pull.number, url: pull.html_url };
  }

  return {
    repositoryAt: (url) => repositoryAt(store, connection, url),

    async acknowledge(repository, trigger, signal) {
      const send = reactions[trigger.kind];
      if (send === null) return;
      try {
        await calls.run(repository, (octokit, at) => send(octokit, at, trigger), signal);
      } catch (error) {
        // What was said may be gone, or its conversation locked. Nothing depends on the reaction.
        if (!(error instanceof BerthError && ['not_found', 'forbidden', 'invalid_request'].includes(error.code))) throw error;
      }
    },

    async readIssue(repository, number, signal) {
      const { botLogin } = await connection.require();
      return calls.run(
        repository,
        async (octokit, at) => {
          const { data: issue } = await octokit.rest.issues.get({ ...at, issue_number: number });
          const comments = await octokit.paginate(octokit.rest.issues.listComments, {
            ...at,
            issue_number: number,
            per_page: perPage,
          });
          return {
            number: issue.number,
            title: issue.title,
            body: issue.body ?? '',
            author: issue.user?.login ?? 'ghost',
            url: issue.html_url,
            labels: issue.labels.map((label) => (typeof label === 'string' ? label : (label.name ?? ''))),
            comments: comments
              .filter((comment) => comment.user?.login !== botLogin)
              .map((comment) => ({ author: comment.user?.login ?? 'ghost', body: comment.body ?? '' })),
          };
        },
        signal,
      );
    },

    async findComment(repository, number, marker, signal) {
      const { botLogin } = await connection.require();
      return calls.run(
        repository,
        async (octokit, at) => {
          const pages = octokit.paginate.iterator(octokit.rest.issues.listComments, {
            ...at,
            issue_number: number,
            per_page: perPage,
          });
          for await (const { data } of pages) {
            const ours = data.find((comment) => comment.user?.login === botLogin && comment.body?.includes(marker) === true);
            if (ours !== undefined) return ours.id;
          }
          return null;
        },
        signal,
      );
    },

    createComment: (repository, number, body, signal) =>
      calls.run(
        repository,
        async (octokit, at) => (await octokit.rest.issues.createComment({ ...at, issue_number: number, body })).data.id,
        signal,
      ),

    async updateComment(repository, commentId, body, signal) {
      await calls.run(repository, (octokit, at) => octokit.rest.issues.updateComment({ ...at, comment_id: commentId, body }), signal);
    },

    findPull,

    async createPull(repository, pull, signal) {
      try {
        return await calls.run(
          repository,
          async (octokit, at) => {
            const { data } = await octokit.rest.pulls.create({
              ...at,
              head: pull.branch,
              base: pull.baseBranch,
              title: pull.title,
              body: pull.body,
            });
            return { number: data.number, url: data.html_url };
          },
          signal,
        );
      } catch (error) {
        // One from this branch may have been opened before an answer was lost.
        if (!(error instanceof BerthError) || error.code !== 'invalid_request') throw error;
        const found = await findPull(repository, pull.branch, signal);
        if (found === null) throw error;
        return found;
      }
    },

    async botIdentity(repository, signal) {
      const { appId, botLogin, webUrl } = await connection.require();
      let id = botIds.get(appId);
      if (id === undefined) {
        id = await calls.run(
          repository,
          async (octokit, { request }) => (await octokit.rest.users.getByUsername({ username: botLogin, request })).data.id,
          signal,
        );
        botIds.set(appId, id);
      }
      return { name: botLogin, email: noreplyEmail(webUrl, id, botLogin) };
    },
  };
}

type React = (
  octokit: Parameters<Parameters<InstallationCalls['run']>[1]>[0],
  at: RepositoryCall,
  trigger: { id: number; number: number },
) => Promise<unknown>;

const content = 'eyes';

/** GitHub gives the same reaction once. A review as a whole takes none, nor does a request through the API. */
const reactions: Record<'issue' | 'issue_comment' | 'review_comment' | 'review' | 'request', React | null> = {
  issue: (octokit, at, { number }) => octokit.rest.reactions.createForIssue({ ...at, issue_number: number, content }),
  issue_comment: (octokit, at, { id }) => octokit.rest.reactions.createForIssueComment({ ...at, comment_id: id, content }),
  review_comment: (octokit, at, { id }) =>
    octokit.rest.reactions.createForPullRequestReviewComment({ ...at, comment_id: id, content }),
  review: null,
  request: null,
};
