import type { Dependencies } from '../dependencies.ts';
import type { TaskRecord } from '../ports/store.ts';

/**
 * Whether a task is this server's to advance, so that of several servers one does: the one on the host of its session's
 * sandbox, whose clone is published from there; before there is one, that of the first host that is up.
 */
export async function isResponsible(
  { store, settings }: Pick<Dependencies, 'store' | 'settings'>,
  task: Pick<TaskRecord, 'sessionId'>,
): Promise<boolean> {
  const session = task.sessionId === null ? null : await store.read.session(task.sessionId);
  if (session !== null && session.hostId !== null) return session.hostId === settings.hostId;
  const first = (await store.read.hosts()).find(({ live }) => live);
  return first === undefined || first.id === settings.hostId;
}
