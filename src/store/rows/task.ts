import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { DeliveryRecord, DeliveryState, TaskRecord, TaskState, TaskTrigger } from '../../core/ports/store.ts';
import { check, fromJson, fromNullableJson, parse, toJson, toNullableJson } from '../json.ts';
import type { DeliveriesTable, TasksTable } from '../schema.ts';
import type { Columns } from './columns.ts';
import { storedError } from './values.ts';

const taskStates: z.ZodType<TaskState> = z.enum(['accepted', 'working', 'publishing', 'waiting', 'failed']);
const trigger: z.ZodType<TaskTrigger> = z.object({
  kind: z.enum(['issue', 'issue_comment', 'review_comment', 'review', 'request']),
  id: z.number(),
  number: z.number(),
  login: z.string(),
  author: z.object({ name: z.string(), email: z.string() }),
  text: z.string(),
  deliveryId: z.string(),
});
const deliveryStates: z.ZodType<DeliveryState> = z.enum(['received', 'done', 'ignored', 'failed']);

export function taskColumns(task: Partial<TaskRecord>): Columns<TasksTable> {
  return {
    id: task.id,
    repository_id: task.repositoryId,
    issue_number: task.issueNumber,
    pull_number: task.pullNumber,
    session_id: task.sessionId,
    state: task.state,
    comment_id: task.commentId,
    turn_id: task.turnId,
    trigger: toJson(task.trigger),
    pending: toJson(task.pending),
    pushed_commit: task.pushedCommit,
    error: toNullableJson(task.error),
    created_at: task.createdAt,
    updated_at: task.updatedAt,
  };
}

export function toTask(row: Selectable<TasksTable>): TaskRecord {
  return {
    id: row.id,
    repositoryId: row.repository_id,
    issueNumber: row.issue_number,
    pullNumber: row.pull_number,
    sessionId: row.session_id,
    state: check(taskStates, 'tasks.state', row.state),
    commentId: row.comment_id,
    turnId: row.turn_id,
    trigger: fromJson(trigger, 'tasks.trigger', row.trigger),
    pending: fromJson(trigger.array(), 'tasks.pending', row.pending),
    pushedCommit: row.pushed_commit,
    error: fromNullableJson(storedError, 'tasks.error', row.error),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export function deliveryColumns(delivery: Partial<DeliveryRecord>): Columns<DeliveriesTable> {
  return {
    id: delivery.id,
    event: delivery.event,
    state: delivery.state,
    reason: delivery.reason,
    payload: toJson(delivery.payload) as string | undefined,
    received_at: delivery.receivedAt,
    attempts: delivery.attempts,
  };
}

export function toDelivery(row: Selectable<DeliveriesTable>): DeliveryRecord {
  return {
    id: row.id,
    event: row.event,
    state: check(deliveryStates, 'deliveries.state', row.state),
    reason: row.reason,
    payload: parse('deliveries.payload', row.payload),
    receivedAt: row.received_at,
    attempts: row.attempts,
  };
}
