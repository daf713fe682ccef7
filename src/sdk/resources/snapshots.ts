import { z } from 'zod';
import { session, snapshot, type Session, type Snapshot } from '../../protocol/api.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

/** Named copies of sessions. Each is named by its id, or by your own name for it. */
export interface SnapshotsResource {
  /** The session goes on. Throws `conflict` for a name that you have, `unsupported` for what the provider cannot. */
  create(sessionId: string, input: { name: string; memory?: boolean }, options?: CallOptions): Promise<Snapshot>;
  /** Newest first. */
  list(options?: CallOptions & { session?: string }): Promise<Snapshot[]>;
  get(snapshot: string, options?: CallOptions): Promise<Snapshot>;
  /** Sessions made from it are not touched. */
  delete(snapshot: string, options?: CallOptions): Promise<void>;
  /** New sessions that begin where it was taken: own disk and branch, the conversation up to then. */
  fork(snapshot: string, options?: CallOptions & { count?: number }): Promise<Session[]>;
}

export function createSnapshotsResource(transport: Transport): SnapshotsResource {
  const page = z.object({ snapshots: z.array(snapshot) });
  const sessionPage = z.object({ sessions: z.array(session) });
  const path = (name: string, suffix = ''): string => `/api/snapshots/${encodeURIComponent(name)}${suffix}`;
  return {
    create: (sessionId, input, options) =>
      transport.json(snapshot, 'POST', `/api/sessions/${encodeURIComponent(sessionId)}/snapshots`, {
        json: input,
        ...options,
      }),
    async list({ session: sessionId, signal } = {}) {
      const query = { session: sessionId };
      return (await transport.json(page, 'GET', '/api/snapshots', { query, signal })).snapshots;
    },
    get: (name, options) => transport.json(snapshot, 'GET', path(name), options),
    delete: (name, options) => transport.empty('DELETE', path(name), options),
    async fork(name, { count = 1, ...options } = {}) {
      return (await transport.json(sessionPage, 'POST', path(name, '/fork'), { json: { count }, ...options })).sessions;
    },
  };
}
