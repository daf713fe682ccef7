import type { NetworkMode } from '../../../core/ports/sandbox-provider.ts';
import { connect, demandNetwork } from './connect.ts';
import type { Installation } from './installation.ts';
import { isHibernated, memoryImage } from './memory-image.ts';
import { sandboxPaths } from './paths.ts';
import { readRecord, type SandboxRecord } from './record.ts';
import { haltSandbox, sandboxIds, sandboxParts } from './sandbox.ts';

/** What a record has of a sandbox's network: with `full` an address that no other has. */
export async function networkOf(
  installation: Installation,
  network: NetworkMode,
): Promise<Pick<SandboxRecord, 'network' | 'networkSlot'>> {
  if (network === 'none') return { network };
  const records = await Promise.all(
    (await sandboxIds(installation)).map((id) => readRecord(sandboxPaths(installation.sandboxesDir, id).record)),
  );
  const taken = new Set(records.map((record) => record?.networkSlot).filter((slot) => slot !== undefined));
  return { network, networkSlot: await demandNetwork(installation).draw(taken) };
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
