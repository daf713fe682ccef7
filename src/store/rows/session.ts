import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { SessionRecord } from '../../core/ports/store.ts';
import { sessionStatus } from '../../protocol/events.ts';
import { check, fromJson, fromNullableJson, toJson, toNullableJson } from '../json.ts';
import type { SessionsTable } from '../schema.ts';
import type { Columns } from './columns.ts';
import { permissionMode, permissionPolicy } from '../../protocol/permission-policy.ts';
import {
  storedBudgetLimits,
  storedEgress,
  storedIdle,
  storedLimits,
  storedMcpServers,
  storedPlacement,
} from './values.ts';

const argv = z.array(z.string());
const env = z.record(z.string(), z.string());
const config = z.record(z.string(), z.union([z.string(), z.boolean()]));
const author = z.object({ name: z.string(), email: z.string() });

export function sessionColumns(session: Partial<SessionRecord>): Columns<SessionsTable> {
  return {
    id: session.id,
    owner: session.owner,
    team: session.team,
    title: session.title,
    status: session.status,
    status_reason: session.statusReason,
    agent: session.agent,
    agent_argv: toNullableJson(session.agentArgv),
    provider: session.provider,
    placement: toNullableJson(session.placement),
    template: session.template,
    sandbox_id: session.sandboxId,
    forked_from: session.forkedFrom,
    repository_url: session.repositoryUrl,
    base_branch: session.baseBranch,
    branch: session.branch,
    base_commit: session.baseCommit,
    cwd: session.cwd,
    limits: toJson(session.limits),
    env: toJson(session.env),
    egress: toNullableJson(session.egress),
    mcp_servers: toJson(session.mcpServers),
    acp_session_id: session.acpSessionId,
    mode_id: session.modeId,
    config: toJson(session.config),
    author: toNullableJson(session.author),
    permissions: session.permissions,
    permission_policy: toNullableJson(session.permissionPolicy),
    permission_timeout_ms: session.permissionTimeoutMs,
    last_seq: session.lastSeq,
    log_bytes: session.logBytes,
    log_bytes_at_turn: session.logBytesAtTurn,
    journal_id: session.journalId,
    journal_seq: session.journalSeq,
    deleting_at: session.deletingAt,
    fork_acp_session_id: session.forkAcpSessionId,
    idle: toNullableJson(session.idle),
    budget: toNullableJson(session.budget),
    last_used_at: session.lastUsedAt,
    archived_at: session.archivedAt,
    created_at: session.createdAt,
    updated_at: session.updatedAt,
  };
}

/** With the host of its sandbox, which the query joins. */
export function toSession(row: Selectable<SessionsTable> & { host_id: string | null }): SessionRecord {
  return {
    id: row.id,
    owner: row.owner,
    team: row.team,
    title: row.title,
    status: check(sessionStatus, 'sessions.status', row.status),
    statusReason: row.status_reason,
    agent: row.agent,
    agentArgv: fromNullableJson(argv, 'sessions.agent_argv', row.agent_argv),
    provider: row.provider,
    placement: fromNullableJson(storedPlacement, 'sessions.placement', row.placement),
    template: row.template,
    sandboxId: row.sandbox_id,
    hostId: row.host_id,
    forkedFrom: row.forked_from,
    repositoryUrl: row.repository_url,
    baseBranch: row.base_branch,
    branch: row.branch,
    baseCommit: row.base_commit,
    cwd: row.cwd,
    limits: fromJson(storedLimits, 'sessions.limits', row.limits),
    env: fromJson(env, 'sessions.env', row.env),
    egress: fromNullableJson(storedEgress, 'sessions.egress', row.egress),
    mcpServers: fromJson(storedMcpServers, 'sessions.mcp_servers', row.mcp_servers),
    acpSessionId: row.acp_session_id,
    modeId: row.mode_id,
    config: fromJson(config, 'sessions.config', row.config),
    author: fromNullableJson(author, 'sessions.author', row.author),
    permissions: check(permissionMode, 'sessions.permissions', row.permissions),
    permissionPolicy: fromNullableJson(permissionPolicy, 'sessions.permission_policy', row.permission_policy),
    permissionTimeoutMs: row.permission_timeout_ms,
    lastSeq: row.last_seq,
    logBytes: row.log_bytes,
    logBytesAtTurn: row.log_bytes_at_turn,
    journalId: row.journal_id,
    journalSeq: row.journal_seq,
    deletingAt: row.deleting_at,
    forkAcpSessionId: row.fork_acp_session_id,
    budget: fromNullableJson(storedBudgetLimits, 'sessions.budget', row.budget),
    idle: fromNullableJson(storedIdle, 'sessions.idle', row.idle),
    lastUsedAt: row.last_used_at ?? row.updated_at,
    archivedAt: row.archived_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
