import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { SandboxRecord, WarmState } from '../../core/ports/store.ts';
import { check, fromJson, fromNullableJson, toJson, toNullableJson } from '../json.ts';
import type { SandboxesTable } from '../schema.ts';
import type { Columns } from './columns.ts';
import { storedLimits } from './values.ts';

const statuses: z.ZodType<SandboxRecord['status']> = z.enum([
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
    provider: sandbox.provider,
    template: sandbox.template,
    status: sandbox.status,
    limits: toJson(sandbox.limits),
    warm: toNullableJson(sandbox.warm),
    created_at: sandbox.createdAt,
    updated_at: sandbox.updatedAt,
  };
}

export function sandboxStatus(text: string): SandboxRecord['status'] {
  return check(statuses, 'sandboxes.status', text);
}

export function toSandbox(row: Selectable<SandboxesTable>): SandboxRecord {
  return {
    id: row.id,
    sessionId: row.session_id,
    provider: row.provider,
    template: row.template,
    status: sandboxStatus(row.status),
    limits: fromJson(storedLimits, 'sandboxes.limits', row.limits),
    warm: fromNullableJson(warmState, 'sandboxes.warm', row.warm),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
