import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { QueueTurn, TurnRecord, TurnState } from '../../core/ports/store.ts';
import { webhookEvent } from '../../protocol/api.ts';
import { check, fromJson, fromNullableJson, toJson, toNullableJson } from '../json.ts';
import type { TurnsTable } from '../schema.ts';
import type { Columns } from './columns.ts';
import { sandboxStatuses } from './sandbox.ts';
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
    webhook_events: toJson(turn.webhookEvents),
    cancel_requested_at: turn.cancelRequestedAt,
    attempts: turn.attempts,
    retry_at: turn.retryAt,
    claimed_at: turn.claimedAt,
    host_id: turn.hostId,
    estimated_wait_ms: turn.estimatedWaitMs,
    queue_position: turn.queuePosition,
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
    webhookEvents: fromJson(webhookEvent.array(), 'turns.webhook_events', row.webhook_events),
    cancelRequestedAt: row.cancel_requested_at,
    attempts: row.attempts,
    retryAt: row.retry_at,
    claimedAt: row.claimed_at,
    hostId: row.host_id,
    estimatedWaitMs: row.estimated_wait_ms,
    queuePosition: row.queue_position,
    stopReason: row.stop_reason,
    usage: fromNullableJson(storedUsage, 'turns.usage', row.usage),
    error: fromNullableJson(storedError, 'turns.error', row.error),
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  };
}

/** The columns of `turns` that the queue looks at; the prompt, which may be megabytes, is not among them. */
export const queueTurnColumns = [
  'turns.ordinal',
  'turns.id',
  'turns.session_id',
  'turns.state',
  'turns.priority',
  'turns.attempts',
  'turns.retry_at',
  'turns.claimed_at',
  'turns.estimated_wait_ms',
  'turns.queue_position',
  'turns.created_at',
  'turns.started_at',
  'turns.ended_at',
] as const;

type QueueColumn = (typeof queueTurnColumns)[number] extends `turns.${infer Name}` ? Name : never;

export function toQueueTurn(
  row: Pick<Selectable<TurnsTable>, QueueColumn> & {
    owner: string;
    team: string | null;
    agent: string;
    sandbox_status: string | null;
    sandbox_host_id: string | null;
  },
): QueueTurn {
  return {
    ordinal: row.ordinal,
    id: row.id,
    sessionId: row.session_id,
    owner: row.owner,
    team: row.team,
    agent: row.agent,
    hostId: row.sandbox_host_id,
    sandboxStatus:
      row.sandbox_status === null ? null : check(sandboxStatuses, 'sandboxes.status', row.sandbox_status),
    state: check(states, 'turns.state', row.state),
    priority: row.priority,
    attempts: row.attempts,
    retryAt: row.retry_at,
    claimedAt: row.claimed_at,
    estimatedWaitMs: row.estimated_wait_ms,
    queuePosition: row.queue_position,
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  };
}
