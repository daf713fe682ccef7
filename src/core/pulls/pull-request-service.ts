import type { BranchState, OpenedPull, OpenPullRequest } from '../../protocol/forge-api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { actorOf } from '../audit/actor.ts';
import type { Core } from '../create-core.ts';
import type { Dependencies } from '../dependencies.ts';
import { checkBranchName } from '../git-names.ts';
import type { Forge } from '../ports/forge.ts';
import type { RepositoryRecord, SessionRecord } from '../ports/store.ts';
import type { RunnerClient } from '../ports/runner.ts';
import { findOrOpenPull, tellPull } from './find-or-open-pull.ts';
import { branchOf, publishWork, readTold } from './publish-work.ts';

/** Pull requests that a person asks for; what a task opens is `core/tasks/publish-task.ts`. */
export interface PullRequestService {
  /** Wakes the session's sandbox, and asks the forge for the pull request. */
  branch(sessionId: string, signal: AbortSignal): Promise<BranchState>;
  /**
   * Commits what the agent left, pushes the session's branch, and opens its pull request; a second call finds the one
   * that is open, with what was new pushed to it. Throws `conflict` while the agent works or where there is nothing to
   * show, `unsupported` for a repository of no forge that Berth was given, `invalid_request` or `branch_not_found` for the base, and what
   * `Git.push` and the forge throw.
   */
  open(sessionId: string, request: OpenPullRequest, by: string, signal: AbortSignal): Promise<OpenedPull>;
}

export interface PullRequestContext {
  deps: Dependencies;
  forge: Forge;
  core: Pick<Core, 'sessions'>;
}

interface Target {
  repository: RepositoryRecord;
  branch: string;
  baseBranch: string;
}

export function createPullRequestService({ deps, forge, core }: PullRequestContext): PullRequestService {
  const { store, clock } = deps;
  /** The last call for each session: two at once would both commit, and both open. */
  const turns = new Map<string, Promise<unknown>>();

  async function inTurn<T>(sessionId: string, work: () => Promise<T>): Promise<T> {
    const mine = (turns.get(sessionId) ?? Promise.resolve()).catch(() => {}).then(work);
    turns.set(sessionId, mine);
    try {
      return await mine;
    } finally {
      if (turns.get(sessionId) === mine) turns.delete(sessionId);
    }
  }

  /** Where a pull request can go, or why there can be none. */
  async function target({ repositoryUrl, branch, baseBranch }: SessionRecord): Promise<Target | BerthError> {
    if (repositoryUrl === null) return refuse('conflict', 'this session has no repository');
    if (branch === null || branch === baseBranch) return refuse('conflict', 'this session has no branch of its own');
    const repository = await forge.repositoryAt(repositoryUrl);
    return repository === null
      ? refuse('unsupported', `no GitHub App of this server was given ${repositoryUrl}`)
      : { repository, branch, baseBranch: baseBranch ?? repository.settings.baseBranch ?? 'main' };
  }

  async function requireRest(sessionId: string): Promise<void> {
    if ((await store.read.turns(sessionId, ['starting', 'running'])).length > 0) {
      throw refuse('conflict', 'the agent works; wait for the end of its turn, or interrupt it');
    }
    const task = await store.read.taskBySession(sessionId);
    if (task !== null && ['accepted', 'working', 'publishing'].includes(task.state)) {
      throw refuse('conflict', `task ${task.id} works in this session, and opens the pull request itself`);
    }
  }

  async function requireBranch(url: string, branch: string, signal: AbortSignal): Promise<void> {
    try {
      await deps.git.check(url, branch, signal);
    } catch (error) {
      if (!(error instanceof BerthError) || error.code !== 'branch_not_found') throw error;
      throw new BerthError(error.code, error.message, { field: 'base', cause: error });
    }
  }

  async function publish(
    { repository }: Target,
    { title, by }: { title: string; by: string },
    session: SessionRecord,
    runner: RunnerClient,
    signal: AbortSignal,
  ): Promise<string> {
    const at = branchOf(session);
    if (at === null) throw refuse('conflict', 'this session has no branch of its own');
    const commit = {
      message: title,
      author: session.author ?? (await forge.botIdentity(repository, signal)),
      coAuthors: [],
    };
    const work = { session, runner, commit, turnId: null, actor: actorOf(by), published: null };
    const done = await publishWork(deps, at, work, signal);
    if (done === null) throw refuse('conflict', 'there is nothing on this branch yet that its base does not have');
    return done.sha;
  }

  return {
    async branch(sessionId, signal) {
      const found = await target(await core.sessions.get(sessionId));
      const { commits, changedFiles, session } = await core.sessions.withRunner(sessionId, signal, async (runner, record) => {
        const { baseCommit, cwd } = record;
        if (baseCommit === null) return { commits: [], changedFiles: 0, session: record };
        const log = await deps.git.log(runner, { cwd, baseCommit }, signal);
        const { files } = await deps.git.diff(runner, { cwd, baseCommit }, signal);
        return { commits: log, changedFiles: files.length, session: record };
      });
      const { lastPushed } = await readTold(store.read, sessionId);
      const pushed = commits.findLastIndex((commit) => commit.sha === lastPushed);
      const pull = found instanceof BerthError ? null : await forge.findPull(found.repository, found.branch, signal);
      return {
        branch: session.branch,
        baseBranch: session.baseBranch,
        commits: commits.map(({ sha, subject }, index) => ({ sha, subject, pushed: index <= pushed })),
        changedFiles,
        pull,
        refusal: found instanceof BerthError ? found.message : null,
      };
    },

    open: (sessionId, request, by, signal) =>
      inTurn(sessionId, async () => {
        const session = await core.sessions.get(sessionId);
        const found = await target(session);
        if (found instanceof BerthError) throw found;
        const { repository, branch } = found;
        const baseBranch = request.base ?? found.baseBranch;
        checkBranchName(baseBranch, 'base');
        if (baseBranch === branch) {
          throw new BerthError('invalid_request', "it cannot go into the session's own branch", { field: 'base' });
        }
        await requireRest(sessionId);
        // Before anything is committed or pushed for it.
        if (baseBranch !== session.baseBranch) await requireBranch(repository.url, baseBranch, signal);
        const title = request.title ?? (session.title === '' ? branch : session.title).slice(0, maxTitleLength);
        const sha = await core.sessions.withRunner(sessionId, signal, (runner, record) =>
          publish(found, { title, by }, record, runner, signal),
        );
        const { pull, opened } = await findOrOpenPull(
          forge,
          repository,
          {
            branch,
            baseBranch,
            title,
            body: request.body ?? `Made by ${session.agent} in session ${sessionId}, asked by ${by}.`,
          },
          signal,
        );
        const told = (await readTold(store.read, sessionId)).pulls.has(pull.number);
        await store.transaction(async (tx) => {
          const moment = clock.now().toISOString();
          const task = await tx.taskBySession(sessionId);
          // What is said on it then goes on in this session.
          if (task !== null) await tx.updateTask(task.id, { pullNumber: pull.number, updatedAt: moment });
          if (told) return;
          const where = { sessionId, turnId: null, at: moment, actor: actorOf(by) };
          await tellPull(tx, { ...where, repositoryUrl: repository.url, branch, pull });
        });
        return { ...pull, opened, sha };
      }),
  };
}

/** GitHub's own. */
const maxTitleLength = 256;

function refuse(code: 'conflict' | 'unsupported', message: string): BerthError {
  return new BerthError(code, message, { field: 'id' });
}
