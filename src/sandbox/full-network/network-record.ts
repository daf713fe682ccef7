import type { NetworkMode } from '../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { FullNetwork } from './full-network.ts';

/** What a sandbox's record has of its network. */
export interface NetworkRecord {
  network: NetworkMode;
  /** Its address while `network` is `full`; kept over hibernation, for connections have it. */
  networkSlot?: number | undefined;
}

/** What a record is to have: with `full` an address that none of the others has. */
export async function drawNetwork(network: FullNetwork | null, mode: NetworkMode, others: readonly (NetworkRecord | null)[]): Promise<NetworkRecord> {
  if (mode === 'none') return { network: mode };
  const taken = new Set(others.map((record) => record?.networkSlot).filter((slot) => slot !== undefined));
  return { network: mode, networkSlot: await demandNetwork(network).draw(taken) };
}

/** Throws `unsupported` where there is none. */
export function demandNetwork(network: FullNetwork | null): FullNetwork {
  if (network !== null) return network;
  throw new BerthError('unsupported', 'this host gives no sandbox a network of its own (see "berth doctor")', { field: 'network' });
}
