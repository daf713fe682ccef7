import type { Dependencies } from '../dependencies.ts';
import type { ForgePull } from '../ports/forge.ts';
import type { CommitRequest } from '../ports/git.ts';
import type { RunnerClient } from '../ports/runner.ts';
import type { SessionRecord, StoreReads } from '../ports/store.ts';

export interface Work {
  session: SessionRecord;
  runner: RunnerClient;
  /** Of the commit that takes in what the agent left uncommitted. */
  commit: Pick<CommitRequest, 'message' | 'author' | 'coAuthors'>;
  /** Where the log tells of it. */
  turnId: string | null;
  /** As the audit log names him who publishes. */
  actor: string;
  /** A commit that was published and told of to its end before: there is nothing to do while it is the last one. */
  published: string | null;
}

/** A session's branch, which others build on at `baseBranch`. */
export interface SessionBranch {
  url: string;
  branch: string;
  baseBranch: string;
  baseCommit: string;
}

/** `null`: it has no repository, no clone yet, or works on the branch that others build on. */
export function branchOf({ repositoryUrl: url, branch, baseBranch, baseCommit }: SessionRecord): SessionBranch | null {
  if (url === null || branch === null || baseBranch === null || baseCommit === null || branch === baseBranch) return null;
  return { url, branch, baseBranch, baseCommit };
}

/**
 * Commits what the agent left beside its own commits and pushes the session's branch; the log and the audit log tell of
 * each once. Repeating it after a crash at any point gives the same end. `null`, with nothing changed, when there is
 * nothing to publish. Throws as `Git.push` does.
 */
export async function publishWork(
  { git, store, clock }: Pick<Dependencies, 'git' | 'store' | 'clock'>,
  { url, branch, baseCommit }: SessionBranch,
  { session, runner, commit, turnId, actor, published }: Work,
  signal: AbortSignal,
): Promise<{ sha: string } | null> {
  const { id: sessionId, cwd } = session;
  const committed = await git.commitAll(runner, { cwd, ...commit }, signal);
  const commits = await git.log(runner, { cwd, baseCommit }, signal);
  const head = commits.at(-1);
  if (head === undefined || head.sha === published) return null;
  const { sha } = await git.push(runner, { url, cwd, sessionId, branch, baseCommit }, signal);
  const at = clock.now().toISOString();
  const known = await readTold(store.read, sessionId);
  await store.transaction(async (tx) => {
    await tx.appendEvents(sessionId, [
      ...commits
        .filter((each) => !known.committed.has(each.sha))
        .map((each) => ({
          at,
          turnId,
          type: 'git.committed' as const,
          data: { sha: each.sha, branch, subject: each.subject, byAgent: each.sha !== committed?.sha },
        })),
      ...(known.pushed.has(sha) ? [] : [{ at, turnId, type: 'git.pushed' as const, data: { sha, branch } }]),
    ]);
    if (known.pushed.has(sha)) return;
    await tx.appendAudit([{ at, actor, action: 'git.pushed', target: branch, sessionId, detail: { sha, repository: url } }]);
  });
  return { sha };
}

/** What a session's log tells of. */
export interface Told {
  committed: Set<string>;
  pushed: Set<string>;
  /** Where Berth last saw the remote branch. */
  lastPushed: string | null;
  pulls: Map<number, ForgePull>;
}

export async function readTold(
  reads: Pick<StoreReads, 'events'>,
  sessionId: string,
): Promise<Told> {
  const committed = new Set<string>();
  const pushed = new Set<string>();
  const pulls = new Map<number, ForgePull>();
  let lastPushed: string | null = null;
  let seq = 0;
  for (;;) {
    const page = await reads.events(sessionId, seq, 500);
    for (const event of page) {
      seq = event.seq;
      if (event.type === 'git.committed') committed.add(event.data.sha);
      else if (event.type === 'git.pushed') pushed.add((lastPushed = event.data.sha));
      else if (event.type === 'task.pull_request') pulls.set(event.data.number, event.data);
    }
    if (page.length === 0) return { committed, pushed, lastPushed, pulls };
  }
}
