import { z } from 'zod';
import {
  egressEntry,
  egressView,
  type EgressEntry,
  type EgressPolicy,
  type EgressQuery,
  type EgressView,
} from '../../protocol/egress.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

/** Where a session may connect to, and what was decided. */
export interface EgressResource {
  get(sessionId: string, options?: CallOptions): Promise<EgressView>;
  /** What was decided for all sessions that the caller may see, latest first. */
  list(query?: EgressQuery, options?: CallOptions): Promise<EgressEntry[]>;
  /** `null`: the server's default. Holds from the next connection on. */
  set(sessionId: string, policy: EgressPolicy | null, options?: CallOptions): Promise<EgressView>;
  /** Adds a rule: `host`, `*.host`, either with `:port`. */
  allow(sessionId: string, rule: string, options?: CallOptions): Promise<EgressView>;
}

export function createEgressResource(transport: Transport): EgressResource {
  const path = (id: string, suffix = '') => `/api/sessions/${encodeURIComponent(id)}/egress${suffix}`;
  const page = z.object({ decisions: z.array(egressEntry) });
  return {
    async list(query = {}, { signal } = {}) {
      return (await transport.json(page, 'GET', '/api/egress', { query, signal })).decisions;
    },
    get: (id, options) => transport.json(egressView, 'GET', path(id), options),
    set: (id, policy, options) =>
      transport.json(egressView, 'PUT', path(id), { json: { policy }, idempotent: true, ...options }),
    allow: (id, rule, options) =>
      transport.json(egressView, 'POST', path(id, '/allow'), { json: { rule }, idempotent: true, ...options }),
  };
}
