import type { EventError, TurnOutcome } from '../../protocol/events.ts';
import type { StoreTransaction, TurnRecord } from '../ports/store.ts';
import { hasEnded, settleSessionStatus } from './turn-states.ts';

/** Ends a turn on the server's own word, for when the runner has not got it or never will answer. No-op when it ended. */
export async function endTurn(
  tx: StoreTransaction,
  turnId: string,
  outcome: TurnOutcome,
  error: EventError | null,
  at: string,
): Promise<boolean> {
  const turn: TurnRecord | null = await tx.turn(turnId);
  if (turn === null || hasEnded(turn.state)) return false;
  await tx.updateTurn(turnId, { state: outcome, error, endedAt: at });
  await tx.appendEvents(turn.sessionId, [
    { at, turnId, type: 'turn.ended', data: { outcome, stopReason: null, usage: null, error } },
  ]);
  await settleSessionStatus(tx, turn.sessionId, at, outcome === 'failed' ? (error?.message ?? null) : null);
  return true;
}
