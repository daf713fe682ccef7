import type { Session, Turn } from '../../protocol/api.ts';
import type { SessionRecord, TurnRecord } from '../ports/store.ts';

/** A session as callers see it. */
export function viewSession(record: SessionRecord): Session {
  return {
    id: record.id,
    owner: record.owner,
    title: record.title,
    status: record.status,
    statusReason: record.statusReason,
    agent: record.agent,
    provider: record.provider,
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
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
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
