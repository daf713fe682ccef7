import type { Session } from '../../sdk/index.ts';

/** A session's state in one word. */
export function describeStatus({ status, archivedAt }: Pick<Session, 'status' | 'archivedAt'>): string {
  return archivedAt !== null && (status === 'stopped' || status === 'idle') ? 'archived' : status;
}
