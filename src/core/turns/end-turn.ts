import type { EventError, TurnOutcome } from '../../protocol/events.ts';
import type { StoreTransaction, TurnRecord } from '../ports/store.ts';
import { closeQuestionsOfTurn } from '../budgets/budget-question.ts';
import { countTurnTime } from '../usage/turn-usage.ts';
import { queueWebhook } from '../webhooks/outbox.ts';
import { isPlatformFailure } from './dead-letters.ts';
import { hasEnded, settleSessionStatus } from './turn-states.ts';

export type TurnEnd = Pick<TurnRecord, 'stopReason' | 'usage' | 'error'> & { outcome: TurnOutcome; at: string };

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
  await recordEnd(tx, turn, { outcome, stopReason: null, usage: null, error, at });
  if (outcome === 'failed' && error !== null) await addDeadLetter(tx, turn, error, at);
  await tx.appendEvents(turn.sessionId, [
    { at, turnId, type: 'turn.ended', data: { outcome, stopReason: null, usage: null, error } },
  ]);
  await settleSessionStatus(tx, turn.sessionId, at, outcome === 'failed' ? (error?.message ?? null) : null);
  return true;
}

/** Ends a turn on its runner's word, whose entry in the log is the caller's. */
export async function endTurnByRunner(tx: StoreTransaction, turn: TurnRecord, end: TurnEnd): Promise<void> {
  await recordEnd(tx, turn, end);
  const { outcome, error, at } = end;
  if (outcome === 'failed' && error !== null && isPlatformFailure(error.code)) await addDeadLetter(tx, turn, error, at);
}

async function recordEnd(tx: StoreTransaction, turn: TurnRecord, end: TurnEnd): Promise<void> {
  const { outcome, at, ...rest } = end;
  const change = { ...rest, state: outcome, endedAt: at, retryAt: null, queuePosition: null };
  await tx.updateTurn(turn.id, change);
  await closeQuestionsOfTurn(tx, { sessionId: turn.sessionId, turnId: turn.id }, at);
  await countTurnTime(tx, turn, at);
  // Its agent was at work until now, whoever looked on.
  await tx.touchSession(turn.sessionId, at);
  await queueWebhook(tx, { ...turn, ...change }, `turn.${outcome}`, at);
}

async function addDeadLetter(tx: StoreTransaction, turn: TurnRecord, error: EventError, at: string): Promise<void> {
  await tx.upsertDeadLetter({
    turnId: turn.id,
    sessionId: turn.sessionId,
    ...error,
    attempts: turn.attempts,
    failedAt: at,
    replayedAt: null,
    replayTurnId: null,
  });
}
