import type { SessionFilter, StoreReads, TaskRecord } from '../ports/store.ts';
import type { Principal } from './principal.ts';

/** What of a list somebody is shown: an owner of the installation all, everybody else what he may view. */
export function onlyVisible({ user, role }: Principal): Pick<SessionFilter, 'visibleTo'> {
  return role === 'owner' ? {} : { visibleTo: user };
}

/** Those of the sessions that a filter lets be seen. */
export async function visibleSessions(
  reads: Pick<StoreReads, 'sessions'>,
  filter: Pick<SessionFilter, 'visibleTo'>,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const asked = new Set(ids);
  if (filter.visibleTo === undefined) return asked;
  const seen = await reads.sessions({ ...filter, ids: [...asked], limit: asked.size });
  return new Set(seen.map(({ id }) => id));
}

/** As `taskRights` says of one. */
export async function visibleTasks(
  reads: Pick<StoreReads, 'sessions'>,
  principal: Principal,
  tasks: readonly TaskRecord[],
): Promise<TaskRecord[]> {
  const ids = tasks.flatMap(({ sessionId }) => sessionId ?? []);
  const sessions = await visibleSessions(reads, onlyVisible(principal), ids);
  return tasks.filter(({ sessionId, trigger }) => {
    if (sessionId !== null) return sessions.has(sessionId);
    return principal.role === 'owner' || (trigger.kind === 'request' && trigger.login === principal.user);
  });
}
