import { BerthError } from '../../protocol/errors.ts';
import type { Forge, ForgePull, NewPull } from '../ports/forge.ts';
import type { RepositoryRecord, StoreTransaction } from '../ports/store.ts';

/** The open pull request from the branch, else a new one. Repeating it gives the same. */
export async function findOrOpenPull(
  forge: Forge,
  repository: RepositoryRecord,
  pull: NewPull,
  signal: AbortSignal,
): Promise<{ pull: ForgePull; opened: boolean }> {
  const found = await forge.findPull(repository, pull.branch, signal);
  if (found !== null) return { pull: found, opened: false };
  try {
    return { pull: await forge.createPull(repository, pull, signal), opened: true };
  } catch (error) {
    if (!(error instanceof BerthError) || error.code !== 'invalid_request') throw error;
    const message = `${error.message}: it takes no pull request from ${pull.branch} to ${pull.baseBranch}`;
    throw new BerthError('invalid_request', message, { field: 'base', context: error.context, cause: error });
  }
}

export interface PullToTell {
  sessionId: string;
  turnId: string | null;
  at: string;
  /** As the audit log names him. */
  actor: string;
  repositoryUrl: string;
  branch: string;
  pull: ForgePull;
}

/** In the session's log and the audit log. */
export async function tellPull(
  tx: StoreTransaction,
  { sessionId, turnId, at, actor, repositoryUrl, branch, pull }: PullToTell,
): Promise<void> {
  await tx.appendEvents(sessionId, [{ at, turnId, type: 'task.pull_request', data: pull }]);
  const detail = { number: pull.number, branch, repository: repositoryUrl };
  await tx.appendAudit([{ at, actor, action: 'git.pull_opened', target: pull.url, sessionId, detail }]);
}
