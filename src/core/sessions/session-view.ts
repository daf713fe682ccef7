import type { Session, Snapshot, Turn } from '../../protocol/api.ts';
import type { SessionRecord, SnapshotRecord, TurnRecord } from '../ports/store.ts';
import { viewIdle } from './update-session.ts';

/** A session as callers see it. */
export function viewSession(record: SessionRecord): Session {
  return {
    id: record.id,
    owner: record.owner,
    team: record.team,
    title: record.title,
    status: record.status,
    statusReason: record.statusReason,
    agent: record.agent,
    provider: record.provider,
    providerReason: record.placement?.reason ?? null,
    template: record.template,
    sandboxId: record.sandboxId,
    hostId: record.hostId,
    forkedFrom: record.forkedFrom,
    repository: record.repositoryUrl,
    baseBranch: record.baseBranch,
    branch: record.branch,
    cwd: record.cwd,
    limits: record.limits,
    modeId: record.modeId,
    config: record.config,
    lastSeq: record.lastSeq,
    idle: viewIdle(record.idle),
    budget: record.budget,
    lastUsedAt: record.lastUsedAt,
    archivedAt: record.archivedAt,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
  };
}

export function viewSnapshot(record: SnapshotRecord): Snapshot {
  return {
    id: record.id,
    name: record.name,
    owner: record.owner,
    sessionId: record.sessionId,
    title: record.source.title,
    agent: record.source.agent,
    repository: record.source.repositoryUrl,
    branch: record.source.branch,
    provider: record.provider,
    memory: record.memory,
    sizeBytes: record.sizeBytes,
    createdAt: record.createdAt,
  };
}

export function viewTurn(record: TurnRecord): Turn {
  return {
    id: record.id,
    sessionId: record.sessionId,
    state: record.state,
    by: record.by,
    stopReason: record.stopReason,
    error: record.error,
    createdAt: record.createdAt,
    startedAt: record.startedAt,
    endedAt: record.endedAt,
  };
}
