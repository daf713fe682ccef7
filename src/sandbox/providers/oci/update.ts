import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { SandboxUpdate } from '../../../core/ports/sandbox-provider.ts';
import { writeAtomic } from '../../write-atomic.ts';
import type { Installation } from './installation.ts';
import { writeRecord, type SandboxRecord } from './record.ts';
import { createResources } from './runtime-config.ts';
import { sandboxParts } from './sandbox.ts';

/**
 * Gives a sandbox other labels and limits. The record comes last: until then it tells the old ones, so that who finds
 * it after a crash in between knows that the change is to be made again.
 */
export async function updateSandbox(
  installation: Installation,
  record: SandboxRecord,
  { labels, limits }: SandboxUpdate,
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
  await writeRecord(parts.paths.record, { ...record, labels: { ...labels }, limits: { ...limits } });
}
