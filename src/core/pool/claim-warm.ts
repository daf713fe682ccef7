import type { SandboxRecord, SessionRecord, StoreTransaction } from '../ports/store.ts';
import { settleSessionStatus } from '../turns/turn-states.ts';
import { emptyWorkspacePath } from '../sandboxes/workspace.ts';

/**
 * Makes a warm sandbox the session's own, in the caller's transaction: of several that ask at once, one gets it. It runs
 * already, and the session's log says so. What the provider knows of it, labels and limits, follows when the session's
 * sandbox is brought up; until then they tell that it is still to be done. False when none suits.
 */
export async function claimWarm(
  tx: StoreTransaction,
  session: SessionRecord,
  candidates: readonly SandboxRecord[],
  at: string,
): Promise<boolean> {
  // One that is forked, or had a disk before, gets a disk made for it.
  if (session.forkedFrom !== null || session.baseCommit !== null) return false;
  const found = chooseWarm(session, candidates);
  if (found === null) return false;
  await tx.updateSandbox(found.id, {
    sessionId: session.id,
    limits: session.limits,
    warm: null,
    updatedAt: at,
  });
  const baseCommit = startsEmpty(session) ? (found.warm?.baseCommit ?? null) : null;
  await tx.updateSession(session.id, { sandboxId: found.id, baseCommit, updatedAt: at });
  const { id: sandboxId, provider, status } = found;
  await tx.appendEvents(session.id, [
    { at, turnId: null, type: 'sandbox.status', data: { sandboxId, provider, status, reason: null } },
  ]);
  await settleSessionStatus(tx, session.id, at);
  return true;
}

/** The one that has the session's repository, else the oldest that has none. */
export function chooseWarm(session: SessionRecord, candidates: readonly SandboxRecord[]): SandboxRecord | null {
  const suiting = candidates
    .filter(
      ({ sessionId, status, provider, template, warm }) =>
        warm !== null &&
        sessionId === null &&
        status === 'running' &&
        provider === session.provider &&
        template === session.template &&
        (warm.repositoryUrl === null || warm.repositoryUrl === session.repositoryUrl),
    )
    .toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  return suiting.find(({ warm }) => warm?.repositoryUrl !== null) ?? suiting[0] ?? null;
}

/** Whether the empty workspace that was made ahead is what the session would be given. */
function startsEmpty({ repositoryUrl, cwd, author }: SessionRecord): boolean {
  return repositoryUrl === null && author === null && cwd === emptyWorkspacePath;
}
