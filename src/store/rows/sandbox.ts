import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { SandboxRecord } from '../../core/ports/store.ts';
import { check, fromJson, toJson } from '../json.ts';
import type { SandboxesTable } from '../schema.ts';
import type { Columns } from './columns.ts';
import { storedLimits } from './values.ts';

export const sandboxStatuses: z.ZodType<SandboxRecord['status']> = z.enum([
  'creating',
  'running',
  'paused',
  'hibernated',
  'stopped',
  'broken',
  'destroying',
]);

export function sandboxColumns(sandbox: Partial<SandboxRecord>): Columns<SandboxesTable> {
  return {
    id: sandbox.id,
    session_id: sandbox.sessionId,
    provider: sandbox.provider,
    template: sandbox.template,
    status: sandbox.status,
    limits: toJson(sandbox.limits),
    created_at: sandbox.createdAt,
    updated_at: sandbox.updatedAt,
  };
}

export function toSandbox(row: Selectable<SandboxesTable>): SandboxRecord {
  return {
    id: row.id,
    sessionId: row.session_id,
    provider: row.provider,
    template: row.template,
    status: check(sandboxStatuses, 'sandboxes.status', row.status),
    limits: fromJson(storedLimits, 'sandboxes.limits', row.limits),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
