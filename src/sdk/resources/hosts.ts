import { z } from 'zod';
import { host, type Host } from '../../protocol/api.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

/** The machines whose servers share a database. */
export interface HostsResource {
  list(options?: CallOptions): Promise<Host[]>;
  /** Gives a host up that will not return: its sessions start again from their base commit. Throws `conflict` for one that is up. */
  forget(id: string, options?: CallOptions): Promise<void>;
}

export function createHostsResource(transport: Transport): HostsResource {
  const page = z.object({ hosts: z.array(host) });
  return {
    list: async (options) => (await transport.json(page, 'GET', '/api/hosts', options)).hosts,
    forget: (id, options) => transport.empty('DELETE', `/api/hosts/${encodeURIComponent(id)}`, options),
  };
}
