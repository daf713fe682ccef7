import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { SnapshotRecord, SnapshotSource } from '../../core/ports/store.ts';
import { permissionMode, permissionPolicy } from '../../protocol/permission-policy.ts';
import { check, fromJson, toJson } from '../json.ts';
import type { SnapshotsTable } from '../schema.ts';
import type { Columns } from './columns.ts';
import { storedBudgetLimits, storedEgress, storedIdle, storedLimits, storedMcpServers } from './values.ts';

const states: z.ZodType<SnapshotRecord['state']> = z.enum(['creating', 'ready', 'deleting']);
const text = z.string();

const source: z.ZodType<SnapshotSource> = z.object({
  title: text,
  agent: text,
  agentArgv: z.array(text).nullable(),
  provider: text,
  template: text,
  repositoryUrl: text.nullable(),
  baseBranch: text.nullable(),
  branch: text.nullable(),
  baseCommit: text.nullable(),
  cwd: text,
  limits: storedLimits,
  env: z.record(text, text),
  mcpServers: storedMcpServers,
  acpSessionId: text.nullable(),
  forkAcpSessionId: text.nullable(),
  modeId: text.nullable(),
  config: z.record(text, z.union([text, z.boolean()])),
  author: z.object({ name: text, email: text }).nullable(),
  permissions: permissionMode,
  permissionTimeoutMs: z.number(),
  idle: storedIdle.nullable(),
  budget: storedBudgetLimits.nullable().default(null),
  egress: storedEgress.nullable(),
  // Absent in snapshots of an earlier version.
  permissionPolicy: permissionPolicy.nullable().default(null),
});

export function snapshotColumns(snapshot: Partial<SnapshotRecord>): Columns<SnapshotsTable> {
  return {
    id: snapshot.id,
    owner: snapshot.owner,
    name: snapshot.name,
    state: snapshot.state,
    memory: snapshot.memory === undefined ? undefined : Number(snapshot.memory),
    host_id: snapshot.hostId,
    provider: snapshot.provider,
    session_id: snapshot.sessionId,
    sandbox_id: snapshot.sandboxId,
    source: toJson(snapshot.source),
    size_bytes: snapshot.sizeBytes,
    created_at: snapshot.createdAt,
  };
}

export function toSnapshot(row: Selectable<SnapshotsTable>): SnapshotRecord {
  return {
    id: row.id,
    owner: row.owner,
    name: row.name,
    state: check(states, 'snapshots.state', row.state),
    memory: row.memory === 1,
    hostId: row.host_id,
    provider: row.provider,
    sessionId: row.session_id,
    sandboxId: row.sandbox_id,
    source: fromJson(source, 'snapshots.source', row.source),
    sizeBytes: row.size_bytes,
    createdAt: row.created_at,
  };
}
