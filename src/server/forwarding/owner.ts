import type { StoreReads } from '../../core/ports/store.ts';
import { BerthError } from '../../protocol/errors.ts';

/** The server that a sandbox or a snapshot is reached through. */
export interface Owner {
  hostId: string;
  address: string;
}

/**
 * The other server that has what lives on a host, or `null` when this one may serve it. Throws `unavailable` naming a
 * host that is away.
 */
export async function ownerOf(
  reads: Pick<StoreReads, 'hosts'>,
  ownHostId: string,
  hostId: string | null,
): Promise<Owner | null> {
  if (hostId === null || hostId === ownHostId) return null;
  const host = (await reads.hosts()).find(({ id }) => id === hostId);
  const context = { hostId };
  if (host === undefined || !host.live) {
    throw new BerthError('unavailable', `what this needs is on host ${hostId}, which is away`, { context });
  }
  if (host.address === null) {
    throw new BerthError(
      'unavailable',
      `what this needs is on host ${hostId}, whose server told no address: set BERTH_ADVERTISE_URL there`,
      { context },
    );
  }
  return { hostId, address: host.address };
}
