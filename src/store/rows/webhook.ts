import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { WebhookRecord, WebhookState } from '../../core/ports/store.ts';
import { webhookEvent } from '../../protocol/api.ts';
import { check } from '../json.ts';
import type { WebhooksTable } from '../schema.ts';
import type { Columns } from './columns.ts';

const states: z.ZodType<WebhookState> = z.enum(['pending', 'delivered', 'dead']);

export function webhookColumns(webhook: Partial<WebhookRecord>): Columns<WebhooksTable> {
  return {
    id: webhook.id,
    turn_id: webhook.turnId,
    event: webhook.event,
    url: webhook.url,
    payload: webhook.payload,
    state: webhook.state,
    attempts: webhook.attempts,
    next_attempt_at: webhook.nextAttemptAt,
    last_error: webhook.lastError,
    created_at: webhook.createdAt,
    delivered_at: webhook.deliveredAt,
  };
}

export function toWebhook(row: Selectable<WebhooksTable>): WebhookRecord {
  return {
    id: row.id,
    turnId: row.turn_id,
    event: check(webhookEvent, 'webhooks.event', row.event),
    url: row.url,
    payload: row.payload,
    state: check(states, 'webhooks.state', row.state),
    attempts: row.attempts,
    nextAttemptAt: row.next_attempt_at,
    lastError: row.last_error,
    createdAt: row.created_at,
    deliveredAt: row.delivered_at,
  };
}
