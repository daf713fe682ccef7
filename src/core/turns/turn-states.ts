import type { SessionStatus } from '../../protocol/events.ts';
import { waitsForPerson } from '../permissions/answer-by-policy.ts';
import type { StoreTransaction, TurnRecord, TurnState } from '../ports/store.ts';

/**
 * States of a turn.
 *
 * - `queued`: admitted. Waits for a slot, for an earlier turn of its session, or for its retry to be due.
 * - `starting`: claimed. A driver of this process makes sandbox and agent ready. A passing failure
 *   puts it back to `queued`; a crash of the server leaves it here, and the next start drives it again.
 * - `running`: the runner has it, and journals its end whether or not the server lives.
 * - `completed`, `cancelled`, `failed`: ended, for good.
 */
export const activeTurnStates: readonly TurnState[] = ['starting', 'running'];
export const openTurnStates: readonly TurnState[] = ['queued', 'starting', 'running'];

export function hasEnded(state: TurnState): boolean {
  return !openTurnStates.includes(state);
}

/** Queue priorities; larger goes first. */
export const priorities = { background: 0, normal: 10, premium: 20 } as const;

/** The status a session has by its turns, its questions and its sandbox; written in the same transaction as what changed. */
export async function settleSessionStatus(
  tx: StoreTransaction,
  sessionId: string,
  at: string,
  reason: string | null = null,
): Promise<SessionStatus | null> {
  const session = await tx.session(sessionId);
  if (session === null || session.deletingAt !== null) return null;
  const status = statusBy(
    await tx.turns(sessionId, openTurnStates),
    (await tx.openPermissions(sessionId)).some(waitsForPerson),
    session.sandboxId === null ? null : ((await tx.sandbox(session.sandboxId))?.status ?? null),
  );
  if (status === session.status && reason === session.statusReason) return status;
  await tx.updateSession(sessionId, { status, statusReason: reason, updatedAt: at });
  await tx.appendEvents(sessionId, [{ at, turnId: null, type: 'session.status', data: { status, reason } }]);
  return status;
}

function statusBy(open: readonly TurnRecord[], asking: boolean, sandbox: string | null): SessionStatus {
  if (open.some((turn) => turn.state === 'running')) return asking ? 'asking' : 'running';
  if (open.some((turn) => turn.state === 'starting')) return 'creating';
  if (open.length > 0) return 'queued';
  switch (sandbox) {
    case 'paused':
      return 'paused';
    case 'hibernated':
      return 'hibernated';
    case 'stopped':
      return 'stopped';
    case 'creating':
      return 'creating';
    case 'broken':
      return 'failed';
    default:
      return 'idle';
  }
}
