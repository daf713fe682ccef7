import { existsSync } from 'node:fs';
import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroupDirectories, detectCgroups } from '../host/cgroups.ts';
import { installationCgroup, runtimeStateDir } from '../installation-paths.ts';
import { installationId } from '../instance-lock.ts';
import { unmountBelow } from '../mount-table.ts';

/**
 * Takes away what an installation has on the machine outside its data directory: mounts, loop device,
 * state in /run, empty cgroups. For when the data directory is about to be removed; sandboxes must be gone.
 */
export async function releaseStorage(dataDir: string): Promise<void> {
  if (!existsSync(dataDir)) return;
  await unmountBelow(dataDir);
  if (!existsSync(join(dataDir, 'installation'))) return;
  const installation = await installationId(dataDir);
  await rm(runtimeStateDir(installation), { recursive: true, force: true });
  for (const directory of cgroupDirectories(await detectCgroups(), installationCgroup(installation))) {
    await removeEmptyCgroups(directory);
  }
}

async function removeEmptyCgroups(directory: string): Promise<void> {
  if (!existsSync(directory)) return;
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeEmptyCgroups(join(directory, entry.name));
  }
  await rmdir(directory);
}
