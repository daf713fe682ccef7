import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProviderHarness } from '../../../../test/conformance/sandbox-provider.ts';
import { cgroupDirectories, detectCgroups } from '../../host/cgroups.ts';
import { installationCgroup, runtimeStateDir } from '../../installation-paths.ts';
import { installationId } from '../../instance-lock.ts';
import { readMounts } from '../../mount-table.ts';
import { releaseStorage } from '../../storage/release.ts';
import { createOciProvider, type OciOptions } from './oci.ts';

export interface OciHarness extends ProviderHarness {
  dataDir: string;
}

/** Whatever the host still has of a sandbox: processes, cgroups, mounts, the runtime's state, files. */
export async function leftovers(dataDir: string, id: string): Promise<string[]> {
  const installation = await installationId(dataDir);
  const found: string[] = [];
  for (const directory of cgroupDirectories(await detectCgroups(), `${installationCgroup(installation)}/${id}`)) {
    if (existsSync(directory)) found.push(`cgroup ${directory}`);
  }
  for (const mount of await readMounts()) if (mount.path.includes(id)) found.push(`mount ${mount.path}`);
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // One that has ended and waits for the machine's init to take note is no process any more.
      const ended = /^State:\s+[ZX]/m.test(readFileSync(`/proc/${name}/status`, 'utf8'));
      if (!ended && readFileSync(`/proc/${name}/cgroup`, 'utf8').includes(id)) found.push(`process ${name}`);
    } catch {
      // It ended meanwhile.
    }
  }
  for (const directory of [
    'sandboxes',
    'storage/sandboxes',
    'storage/objects',
    'storage/images',
    'storage/snapshots',
  ]) {
    const path = join(dataDir, directory);
    for (const name of existsSync(path) ? await readdir(path) : []) {
      if (name.includes(id)) found.push(join(directory, name));
    }
  }
  const state = runtimeStateDir(installation);
  for (const name of existsSync(state) ? await readdir(state, { recursive: true }) : []) {
    if (name.includes(id)) found.push(`state ${name}`);
  }
  return found;
}

export async function openHarness(more: Partial<OciOptions> = {}): Promise<OciHarness> {
  const dataDir = await mkdtemp(join(tmpdir(), 'berth-oci-'));
  let provider = createOciProvider({ dataDir, stopGraceMs: 500, ...more });
  return {
    dataDir,
    provider,
    template: 'default',
    async restart() {
      await provider.close();
      provider = createOciProvider({ dataDir, stopGraceMs: 500, ...more });
      return provider;
    },
    leftovers: (id) => leftovers(dataDir, id),
    async cleanup() {
      await provider.close();
      await releaseStorage(dataDir);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
