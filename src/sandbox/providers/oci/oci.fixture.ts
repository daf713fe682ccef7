import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { FailingHarness } from '../../../../test/conformance/sandbox-failures.ts';
import { processesNaming } from '../../../../test/fixtures/processes-naming.ts';
import { cgroupDirectories, detectCgroups } from '../../host/cgroups.ts';
import { installationCgroup, runtimeStateDir } from '../../installation-paths.ts';
import { freeBytesAt } from '../../free-bytes.ts';
import { installationId } from '../../instance-lock.ts';
import { mustRun } from '../../run-command.ts';
import { readMounts } from '../../mount-table.ts';
import { releaseStorage } from '../../storage/release.ts';
import { createOciProvider, type OciOptions } from './oci.ts';

export interface OciHarness extends FailingHarness {
  dataDir: string;
  /** Fails when the host has anything of this installation that belongs to none of these sandboxes. */
  expectQuiet(ids: readonly string[]): Promise<void>;
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

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // With its init the others end by themselves.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function killInside(dataDir: string, id: string): Promise<void> {
  const cgroup = `${installationCgroup(await installationId(dataDir))}/${id}`;
  for (const directory of cgroupDirectories(await detectCgroups(), cgroup)) {
    const processes = readOptional(join(directory, 'cgroup.procs')).split('\n').filter(Boolean);
    for (const pid of processes) endProcess(Number(pid));
    if (processes.length > 0) return;
  }
}

async function expectQuiet(dataDir: string, ids: readonly string[]): Promise<void> {
  const installation = await installationId(dataDir);
  for (const directory of cgroupDirectories(await detectCgroups(), installationCgroup(installation))) {
    const groups = existsSync(directory) ? await readdir(directory, { withFileTypes: true }) : [];
    const names = groups.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    expect(names.filter((name) => !ids.includes(name))).toEqual([]);
  }
  const roots = ids.map((id) => join(dataDir, 'sandboxes', id, 'rootfs'));
  const mounts = (await readMounts()).map((mount) => mount.path).filter((path) => path.startsWith(`${dataDir}/`));
  expect(mounts.filter((path) => path !== join(dataDir, 'storage')).toSorted()).toEqual(roots);
  for (const [directory, expected] of [
    ['sandboxes', ids],
    ['storage/sandboxes', ids],
    ['storage/objects', ids],
    ['storage/images', []],
    ['storage/snapshots', []],
  ] as const) {
    const path = join(dataDir, directory);
    // What is removed behind an answer is gone a moment later.
    await expect.poll(async () => (existsSync(path) ? await readdir(path) : [])).toEqual(expected);
  }
  const listed = await mustRun('btrfs', ['subvolume', 'list', join(dataDir, 'storage')]);
  expect(listed.trim().split('\n')).toHaveLength(ids.length);
  for (const text of [installation, dataDir]) expect(await processesNaming(text), `processes naming ${text}`).toEqual([]);
}

function readOptional(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It ended meanwhile.
    return '';
  }
}

/** Leaves as much as the disk below has left. */
async function fillImage(storage: string): Promise<() => Promise<void>> {
  const filler = join(storage, 'filler');
  await mustRun('fallocate', ['--length', String((await freeBytesAt(storage)) - 96 * 1024 ** 2), filler]);
  return () => rm(filler);
}

export async function openHarness(more: Partial<OciOptions> = {}, parent = tmpdir()): Promise<OciHarness> {
  const dataDir = await mkdtemp(join(parent, 'berth-oci-'));
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
    killInside: (id) => killInside(dataDir, id),
    leftovers: (id) => leftovers(dataDir, id),
    expectQuiet: (ids) => expectQuiet(dataDir, ids),
    fillOwn: () => fillImage(join(dataDir, 'storage')),
    async cleanup() {
      await provider.close();
      await releaseStorage(dataDir);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
