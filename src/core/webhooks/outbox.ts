import type { WebhookEvent, WebhookPayload } from '../../protocol/api.ts';
import type { StoreTransaction, TurnRecord } from '../ports/store.ts';

/**
 * Puts what happened to a turn into the outbox, if its caller asked to be told, in the transaction that makes
 * it so: told at least once over any crash, and never of what was rolled back. The id is made of the turn and the
 * event, so writing it again changes nothing and receivers can drop doubles.
 */
export async function queueWebhook(
  tx: StoreTransaction,
  turn: TurnRecord,
  event: WebhookEvent,
  at: string,
): Promise<void> {
  if (turn.webhookUrl === null || !turn.webhookEvents.includes(event)) return;
  const payload: WebhookPayload = {
    type: event,
    timestamp: at,
    data: {
      sessionId: turn.sessionId,
      turnId: turn.id,
      queuedAt: turn.createdAt,
      startedAt: turn.startedAt,
      endedAt: turn.endedAt,
      stopReason: turn.stopReason,
      error: turn.error,
    },
  };
  await tx.insertWebhook({
    id: `msg_${turn.id}_${event.replace('turn.', '')}`,
    turnId: turn.id,
    event,
    url: turn.webhookUrl,
    payload: JSON.stringify(payload),
    state: 'pending',
    attempts: 0,
    nextAttemptAt: at,
    lastError: null,
    createdAt: at,
    deliveredAt: null,
  });
}
