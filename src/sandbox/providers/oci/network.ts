import type { NetworkMode } from '../../../core/ports/sandbox-provider.ts';
import { drawNetwork, type NetworkRecord } from '../../full-network/network-record.ts';
import { connect } from './connect.ts';
import type { Installation } from './installation.ts';
import { isHibernated, memoryImage } from './memory-image.ts';
import { sandboxPaths } from './paths.ts';
import { readRecord } from './record.ts';
import { haltSandbox, sandboxIds, sandboxParts } from './sandbox.ts';

/** What a record has of a sandbox's network: with `full` an address that no other has. */
export async function networkOf(installation: Installation, mode: NetworkMode): Promise<NetworkRecord> {
  const ids = mode === 'none' ? [] : await sandboxIds(installation);
  return drawNetwork(installation.network, mode, await Promise.all(ids.map((id) => readRecord(sandboxPaths(installation.sandboxesDir, id).record))));
}

/**
 * Makes the host agree with the records, after a restart: who runs and is to have a network has one, and nobody else.
 * A crash leaves the two apart only between the steps of `connect` or `updateSandbox`.
 */
export async function recoverNetwork(installation: Installation): Promise<void> {
  const { network } = installation;
  if (network === null) return;
  for (const id of await sandboxIds(installation)) {
    const parts = sandboxParts(installation, id);
    const record = await readRecord(parts.paths.record);
    const isAwake =
      !isHibernated(memoryImage(installation.imagesDir, id)) && (await parts.cgroup.processes()).length > 0;
    const wanted = record?.network === 'full' && isAwake;
    if (wanted === network.isAttached(id)) continue;
    if (!wanted) await network.detach(id);
    // Rather none at all than one that counts on what it does not have.
    else await connect(installation, parts, record).catch(() => haltSandbox(installation, parts, 0));
  }
}
