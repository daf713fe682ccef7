import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroupDirectories, detectCgroups } from '../../src/sandbox/host/cgroups.ts';
import { installationCgroup } from '../../src/sandbox/installation-paths.ts';
import { installationId } from '../../src/sandbox/instance-lock.ts';

/** What an installation without sessions must not have: mounts, cgroups (and so processes), directories of sandboxes. */
export async function findLeaks(dataDir: string): Promise<string[]> {
  const leaks: string[] = [];
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map((line) => line.split(' ')[4] ?? '');
  for (const mount of mounts) {
    if (mount.startsWith(`${dataDir}/`) && mount !== join(dataDir, 'storage')) leaks.push(`mount ${mount}`);
  }
  const installation = await installationId(dataDir);
  for (const directory of cgroupDirectories(await detectCgroups(), installationCgroup(installation))) {
    for (const name of await subdirectories(directory)) leaks.push(`cgroup ${join(directory, name)}`);
  }
  for (const place of ['sandboxes', 'storage/sandboxes']) {
    for (const name of await subdirectories(join(dataDir, place))) leaks.push(`directory ${place}/${name}`);
  }
  return leaks;
}

async function subdirectories(directory: string): Promise<string[]> {
  if (!existsSync(directory)) return [];
  const entries = await readdir(directory, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
