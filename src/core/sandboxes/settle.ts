import type { Dependencies } from '../dependencies.ts';
import type { SandboxRecord } from '../ports/store.ts';
import { settleSessionStatus } from '../turns/turn-states.ts';
import type { Progress } from './workspace.ts';

/** Writes what became of a sandbox: its record, the session's status and log, and its archiving, in one transaction. */
export async function setSandboxStatus(
  deps: Pick<Dependencies, 'store' | 'clock'>,
  sessionId: string,
  sandboxId: string,
  status: SandboxRecord['status'],
  reason: string | null,
  archivedAt: string | null = null,
): Promise<void> {
  await deps.store.transaction(async (tx) => {
    const before = await tx.sandbox(sandboxId);
    if (before === null) return;
    const at = deps.clock.now().toISOString();
    await tx.updateSandbox(sandboxId, { status, updatedAt: at });
    const session = await tx.session(sessionId);
    if (before.status !== status && session !== null) {
      await tx.appendEvents(sessionId, [
        { at, turnId: null, type: 'sandbox.status', data: { sandboxId, provider: before.provider, status, reason } },
      ]);
    }
    if (session !== null && session.archivedAt !== archivedAt) await tx.updateSession(sessionId, { archivedAt });
    await settleSessionStatus(tx, sessionId, at, reason);
  });
}

/** Says in the session's log what long work is doing. */
export function progressReporter(deps: Pick<Dependencies, 'store' | 'clock'>, sessionId: string): Progress {
  return (stage, message, fraction = null) =>
    deps.store.transaction(async (tx) => {
      if ((await tx.session(sessionId)) === null) return;
      const at = deps.clock.now().toISOString();
      await tx.appendEvents(sessionId, [{ at, turnId: null, type: 'progress', data: { stage, message, fraction } }]);
    });
}
