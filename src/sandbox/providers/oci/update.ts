import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { SandboxUpdate } from '../../../core/ports/sandbox-provider.ts';
import { writeAtomic } from '../../write-atomic.ts';
import type { Installation } from './installation.ts';
import { connect } from './connect.ts';
import { isHibernated, memoryImage } from './memory-image.ts';
import { networkOf } from './network.ts';
import { writeRecord, type SandboxRecord } from './record.ts';
import { createResources } from './runtime-config.ts';
import { sandboxParts, type SandboxParts } from './sandbox.ts';

/**
 * Gives a sandbox other labels, limits and network. The record comes last: until then it tells the old ones, so that who finds
 * it after a crash in between knows that the change is to be made again.
 */
export async function updateSandbox(
  installation: Installation,
  record: SandboxRecord,
  { labels, limits, network }: SandboxUpdate,
  signal: AbortSignal,
): Promise<void> {
  const parts = sandboxParts(installation, record.id);
  if (!isDeepStrictEqual(limits, record.limits)) {
    await parts.cgroup.limit(limits);
    try {
      if (installation.storage.limitsDisk && limits.diskBytes !== record.limits.diskBytes) {
        await installation.storage.limitDisk(record.id, limits.diskBytes, signal);
      }
      // What a checkpoint is restored with.
      const config = JSON.parse(await readFile(parts.paths.config, 'utf8')) as { linux: { resources: object } };
      config.linux.resources = createResources({ limits }, installation.cgroups);
      await writeAtomic(parts.paths.config, JSON.stringify(config), 0o600);
    } catch (error) {
      await parts.cgroup.limit(record.limits);
      throw error;
    }
  }
  const { networkSlot: _before, ...rest } = record;
  const had = { network: record.network, ...(record.networkSlot === undefined ? {} : { networkSlot: record.networkSlot }) };
  const updated = {
    ...rest,
    ...(network === record.network ? had : await networkOf(installation, network)),
    labels: { ...labels },
    limits: { ...limits },
  };
  if (network !== record.network) await switchNetwork(installation, parts, updated);
  await writeRecord(parts.paths.record, updated);
}

/** Of one that sleeps the record alone says what it will have. */
async function switchNetwork(installation: Installation, parts: SandboxParts, record: SandboxRecord): Promise<void> {
  if (record.network === 'none') return installation.network?.detach(parts.id);
  if (isHibernated(memoryImage(installation.imagesDir, parts.id))) return;
  if ((await parts.cgroup.processes()).length > 0) await connect(installation, parts, record);
}
