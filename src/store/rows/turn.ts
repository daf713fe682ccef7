import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { TurnRecord, TurnState } from '../../core/ports/store.ts';
import { check, fromJson, fromNullableJson, toJson, toNullableJson } from '../json.ts';
import type { TurnsTable } from '../schema.ts';
import type { Columns } from './columns.ts';
import { storedError, storedPrompt, storedUsage } from './values.ts';

const states: z.ZodType<TurnState> = z.enum(['queued', 'starting', 'running', 'completed', 'cancelled', 'failed']);

export function turnColumns(turn: Partial<TurnRecord>): Columns<TurnsTable> {
  return {
    id: turn.id,
    session_id: turn.sessionId,
    idempotency_key: turn.idempotencyKey,
    state: turn.state,
    prompt: toJson(turn.prompt),
    by: turn.by,
    priority: turn.priority,
    webhook_url: turn.webhookUrl,
    cancel_requested_at: turn.cancelRequestedAt,
    attempts: turn.attempts,
    stop_reason: turn.stopReason,
    usage: toNullableJson(turn.usage),
    error: toNullableJson(turn.error),
    created_at: turn.createdAt,
    started_at: turn.startedAt,
    ended_at: turn.endedAt,
  };
}

export function toTurn(row: Selectable<TurnsTable>): TurnRecord {
  return {
    id: row.id,
    sessionId: row.session_id,
    idempotencyKey: row.idempotency_key,
    state: check(states, 'turns.state', row.state),
    prompt: fromJson(storedPrompt, 'turns.prompt', row.prompt),
    by: row.by,
    priority: row.priority,
    webhookUrl: row.webhook_url,
    cancelRequestedAt: row.cancel_requested_at,
    attempts: row.attempts,
    stopReason: row.stop_reason,
    usage: fromNullableJson(storedUsage, 'turns.usage', row.usage),
    error: fromNullableJson(storedError, 'turns.error', row.error),
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  };
}
