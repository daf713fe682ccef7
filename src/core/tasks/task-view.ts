import type { Repository, Task } from '../../protocol/forge-api.ts';
import type { RepositoryRecord, TaskRecord } from '../ports/store.ts';

/** A task as callers see it. */
export function viewTask(record: TaskRecord): Task {
  return {
    id: record.id,
    repositoryId: record.repositoryId,
    issueNumber: record.issueNumber,
    pullNumber: record.pullNumber,
    sessionId: record.sessionId,
    state: record.state,
    turnId: record.turnId,
    askedBy: record.trigger.login,
    pending: record.pending.length,
    pushedCommit: record.pushedCommit,
    error: record.error,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
  };
}

export function viewRepository({ settings, ...record }: RepositoryRecord): Repository {
  return {
    id: record.id,
    url: record.url,
    forge: record.forge,
    owner: record.owner,
    name: record.name,
    triggers: settings.triggers,
    agent: settings.agent,
    template: settings.template,
    baseBranch: settings.baseBranch,
    permissionPolicy: settings.permissionPolicy ?? null,
    createdAt: record.createdAt,
  };
}
