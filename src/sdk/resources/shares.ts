import { z } from 'zod';
import { sessionAccess, share, type SessionPermission, type Share, type ShareRight } from '../../protocol/users-api.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

/** With whom sessions are shared. A subject is a user, or a team with all its members. */
export interface SharesResource {
  list(sessionId: string, options?: CallOptions): Promise<Share[]>;
  /** What the caller may do with it, with the client's token. */
  own(sessionId: string, options?: CallOptions): Promise<SessionPermission[]>;
  /** Takes the place of what the subject had. Whoever may do something may look as well. */
  set(
    sessionId: string,
    subject: Share['subject'],
    rights: readonly ShareRight[],
    options?: CallOptions,
  ): Promise<Share>;
  /** What the subject has open of it ends at once. */
  remove(sessionId: string, subject: Share['subject'], options?: CallOptions): Promise<void>;
}

export function createSharesResource(transport: Transport): SharesResource {
  const path = (id: string) => `/api/sessions/${encodeURIComponent(id)}/shares`;
  const of = (id: string, { kind, name }: Share['subject']) => `${path(id)}/${kind}/${encodeURIComponent(name)}`;
  return {
    async list(id, options) {
      return (await transport.json(z.object({ shares: z.array(share) }), 'GET', path(id), options)).shares;
    },
    async own(id, options) {
      return (await transport.json(sessionAccess, 'GET', `/api/sessions/${encodeURIComponent(id)}/access`, options)).permissions;
    },
    set: (id, subject, rights, options) =>
      transport.json(share, 'PUT', of(id, subject), { json: { rights }, idempotent: true, ...options }),
    remove: (id, subject, options) => transport.empty('DELETE', of(id, subject), options),
  };
}
