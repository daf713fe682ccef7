import type { StoreReads } from '../../core/ports/store.ts';
import { BerthError } from '../../protocol/errors.ts';

/** The server that a session's sandbox is reached through. */
export interface Owner {
  hostId: string;
  address: string;
}

/** The other server that has the session's sandbox, or `null` when this one may serve it. Throws `unavailable` naming a host that is away. */
export async function ownerOf(
  reads: Pick<StoreReads, 'session' | 'hosts'>,
  ownHostId: string,
  sessionId: string,
): Promise<Owner | null> {
  const hostId = (await reads.session(sessionId))?.hostId ?? null;
  if (hostId === null || hostId === ownHostId) return null;
  const host = (await reads.hosts()).find(({ id }) => id === hostId);
  const context = { hostId };
  if (host === undefined || !host.live) {
    throw new BerthError('unavailable', `the session's sandbox is on host ${hostId}, which is away`, { context });
  }
  if (host.address === null) {
    throw new BerthError(
      'unavailable',
      `the session's sandbox is on host ${hostId}, whose server told no address: set BERTH_ADVERTISE_URL there`,
      { context },
    );
  }
  return { hostId, address: host.address };
}
