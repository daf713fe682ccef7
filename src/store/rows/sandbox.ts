import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { SandboxRecord, SandboxUse, WarmState } from '../../core/ports/store.ts';
import { check, fromJson, fromNullableJson, toJson, toNullableJson } from '../json.ts';
import type { SandboxesTable } from '../schema.ts';
import type { Columns } from './columns.ts';
import { storedIdle, storedLimits } from './values.ts';

export const sandboxStatuses: z.ZodType<SandboxRecord['status']> = z.enum([
  'creating',
  'running',
  'paused',
  'hibernated',
  'stopped',
  'broken',
  'destroying',
]);

const warmState: z.ZodType<WarmState> = z.object({
  repositoryUrl: z.string().nullable(),
  baseCommit: z.string().nullable(),
});

export function sandboxColumns(sandbox: Partial<SandboxRecord>): Columns<SandboxesTable> {
  return {
    id: sandbox.id,
    session_id: sandbox.sessionId,
    host_id: sandbox.hostId,
    provider: sandbox.provider,
    template: sandbox.template,
    status: sandbox.status,
    limits: toJson(sandbox.limits),
    warm: toNullableJson(sandbox.warm),
    created_at: sandbox.createdAt,
    updated_at: sandbox.updatedAt,
  };
}

export function toSandbox(row: Selectable<SandboxesTable>): SandboxRecord {
  return {
    id: row.id,
    sessionId: row.session_id,
    hostId: row.host_id,
    provider: row.provider,
    template: row.template,
    status: check(sandboxStatuses, 'sandboxes.status', row.status),
    limits: fromJson(storedLimits, 'sandboxes.limits', row.limits),
    warm: fromNullableJson(warmState, 'sandboxes.warm', row.warm),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

interface SandboxUseRow {
  session_id: string;
  sandbox_id: string;
  provider: string;
  status: string;
  idle: string | null;
  archived_at: string | null;
  last_used_at: string | null;
  updated_at: string;
  turn_state: string | null;
  cancel_requested_at: string | null;
  asked_at: string | null;
  expires_at: string | null;
  budget_question: string | null;
}

export function toSandboxUse(row: SandboxUseRow): SandboxUse {
  const usedAt = row.last_used_at ?? row.updated_at;
  return {
    sessionId: row.session_id,
    sandboxId: row.sandbox_id,
    provider: row.provider,
    status: check(sandboxStatuses, 'sandboxes.status', row.status),
    idle: fromNullableJson(storedIdle, 'sessions.idle', row.idle),
    archivedAt: row.archived_at,
    lastUsedAt: row.asked_at !== null && row.asked_at > usedAt ? row.asked_at : usedAt,
    work: workOf(row),
    questionExpiresAt: row.expires_at,
    asksForBudget: row.budget_question !== null,
  };
}

function workOf({ turn_state: state, cancel_requested_at: cancelled, asked_at: asked }: SandboxUseRow): SandboxUse['work'] {
  if (state === null) return 'none';
  return state === 'running' && cancelled === null && asked !== null ? 'asking' : 'busy';
}
