import type { StoreTransaction, TurnRecord } from '../ports/store.ts';
import { countTurn } from '../usage/turn-usage.ts';
import { queueWebhook } from '../webhooks/outbox.ts';

/** The runner has the turn; heard from the runner itself or from its journal, whichever is first. */
export async function markStarted(tx: StoreTransaction, turn: TurnRecord, at: string): Promise<void> {
  const started = { state: 'running', startedAt: turn.startedAt ?? at, retryAt: null, queuePosition: null } as const;
  await tx.updateTurn(turn.id, started);
  await countTurn(tx, turn, started.startedAt);
  await queueWebhook(tx, { ...turn, ...started }, 'turn.started', at);
}
