import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readMounts } from '../mount-table.ts';

/**
 * How this host mounts cgroups. `hybrid`: v1 controllers with a v2 hierarchy beside them, which
 * carries none of the controllers that matter. `none`: not mounted, so nothing can be limited.
 */
export type CgroupMode = 'v2' | 'hybrid' | 'v1' | 'none';

export interface CgroupLayout {
  mode: CgroupMode;
  /** Where each controller's hierarchy is mounted. On v2 all have the same. */
  controllers: ReadonlyMap<string, string>;
  /** Every hierarchy, those without controllers too: a runtime makes a directory in each. */
  mounts: readonly string[];
  /** Whether swap is counted: without it a memory limit cannot cover swap. */
  swapCounted: boolean;
}

const v1Controllers = ['cpu', 'cpuacct', 'memory', 'pids', 'freezer', 'devices', 'cpuset', 'blkio'];

export async function detectCgroups(): Promise<CgroupLayout> {
  const mounts = await readMounts();
  const v1 = mounts.filter((mount) => mount.type === 'cgroup');
  const v2 = mounts.find((mount) => mount.type === 'cgroup2');
  const controllers = new Map<string, string>();
  for (const mount of v1) {
    for (const option of mount.options) if (v1Controllers.includes(option)) controllers.set(option, mount.path);
  }
  const paths = [...v1, ...(v2 === undefined ? [] : [v2])].map((mount) => mount.path);
  if (controllers.size > 0) {
    const memory = controllers.get('memory');
    return {
      mode: v2 === undefined ? 'v1' : 'hybrid',
      controllers,
      mounts: paths,
      swapCounted: memory !== undefined && existsSync(join(memory, 'memory.memsw.limit_in_bytes')),
    };
  }
  if (v2 === undefined) return { mode: 'none', controllers, mounts: [], swapCounted: false };
  const listed = (await readFile(join(v2.path, 'cgroup.controllers'), 'utf8')).trim();
  for (const name of listed === '' ? [] : listed.split(' ')) controllers.set(name, v2.path);
  return { mode: 'v2', controllers, mounts: paths, swapCounted: true };
}

/** The directories that one cgroup path has on this host. */
export function cgroupDirectories(layout: CgroupLayout, path: string): string[] {
  return layout.mounts.map((mount) => join(mount, path));
}
