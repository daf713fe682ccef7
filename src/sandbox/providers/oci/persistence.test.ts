import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBusySandbox, eventually, sandboxPersistenceSuite, type BusySandbox } from '../../../../test/conformance/sandbox-persistence.ts';
import { options, shell, specFor, type ProviderHarness } from '../../../../test/conformance/sandbox-provider.ts';
import type { SandboxProvider } from '../../../core/ports/sandbox-provider.ts';
import { cgroupDirectories, detectCgroups } from '../../host/cgroups.ts';
import { installationCgroup, runtimeStateDir } from '../../installation-paths.ts';
import { installationId } from '../../instance-lock.ts';
import { readMounts } from '../../mount-table.ts';
import { releaseStorage } from '../../storage/release.ts';
import { ensureCriu } from './criu/ensure-criu.ts';
import { createOciProvider } from './oci.ts';

const root = resolve(import.meta.dirname, '../../../..');

interface Harness extends ProviderHarness {
  dataDir: string;
}

async function leftovers(dataDir: string, id: string): Promise<string[]> {
  const installation = await installationId(dataDir);
  const cgroups = cgroupDirectories(await detectCgroups(), `${installationCgroup(installation)}/${id}`);
  const mounts = (await readMounts()).map((mount) => mount.path).filter((path) => path.includes(id));
  const found = [...cgroups.filter((path) => existsSync(path)), ...mounts];
  for (const directory of [join(dataDir, 'sandboxes'), ...['sandboxes', 'objects', 'images', 'snapshots'].map((name) => join(dataDir, 'storage', name)), runtimeStateDir(installation)]) {
    if (!existsSync(directory)) continue;
    found.push(...(await readdir(directory, { recursive: directory.startsWith('/run') })).filter((name) => name.includes(id)).map((name) => join(directory, name)));
  }
  return found;
}

async function openHarness(): Promise<Harness> {
  const dataDir = await mkdtemp(join(tmpdir(), 'berth-oci-'));
  // Fetched once for all runs.
  const cache = join(root, '.cache');
  await mkdir(cache, { recursive: true });
  await ensureCriu(cache);
  await cp(join(cache, 'criu'), join(dataDir, 'criu'), { recursive: true });
  let provider = createOciProvider({ dataDir, stopGraceMs: 500 });
  return {
    dataDir,
    provider,
    template: 'default',
    async restart() {
      await provider.close();
      provider = createOciProvider({ dataDir, stopGraceMs: 500 });
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

sandboxPersistenceSuite('oci', openHarness);

describe('oci: when persistence fails', () => {
  let harness: Harness;
  let provider: SandboxProvider;
  let busy: BusySandbox;
  const made: string[] = [];

  beforeAll(async () => {
    harness = await openHarness();
    provider = harness.provider;
    await provider.list(options());
    busy = await createBusySandbox(() => provider, 'default');
    made.push(busy.spec.id);
  });

  afterAll(async () => {
    for (const id of made) await provider.destroy(id, options());
    const left = await Promise.all(made.map((id) => harness.leftovers(id)));
    await harness.cleanup();
    expect(left.flat()).toEqual([]);
  });

  async function withBrokenCriu(run: () => Promise<void>): Promise<void> {
    const directory = join(harness.dataDir, 'criu');
    const [version] = await readdir(directory);
    const wrapper = join(directory, version!, 'criu');
    const good = await readFile(wrapper, 'utf8');
    await writeFile(wrapper, '#!/bin/sh\nexit 1\n');
    try {
      await run();
    } finally {
      await writeFile(wrapper, good);
      await chmod(wrapper, 0o755);
    }
  }

  test('a checkpoint that fails leaves it running, or paused, and says so', async () => {
    const { id } = busy.spec;
    await withBrokenCriu(async () => {
      await expect(provider.hibernate(id, options())).rejects.toMatchObject({ code: 'upstream_failed' });
      expect((await provider.get(id, options())).status).toBe('running');
      await provider.pause(id, options());
      await expect(provider.hibernate(id, options())).rejects.toMatchObject({ code: 'upstream_failed' });
      expect((await provider.get(id, options())).status).toBe('paused');
      await provider.resume(id, options());
    });
    await busy.check();
    expect((await readdir(join(harness.dataDir, 'storage/images'))).filter((name) => name.startsWith(id))).toEqual([]);
  });

  test('an image that cannot be restored falls back to the disk, and says so', async () => {
    const spec = specFor(provider, 'default');
    made.push(spec.id);
    await provider.create(spec, options());
    for (const damage of ['pages', 'facts', 'criu'] as const) {
      await shell(provider, spec, `echo ${damage} > note`);
      await provider.hibernate(spec.id, options());
      const image = join(harness.dataDir, 'storage/images', spec.id);
      if (damage === 'pages') await truncate(join(image, 'pages-1.img'), 4096);
      if (damage === 'facts') await rm(join(image, 'berth.json'));
      const woken = async () => {
        const result = await provider.wake(spec.id, options());
        expect(result, damage).toMatchObject({ restored: 'disk', info: { status: 'running' } });
        expect(result.reason, damage).toMatch(/\w/);
      };
      await (damage === 'criu' ? withBrokenCriu(woken) : woken());
      expect((await shell(provider, spec, 'cat note')).stdout).toBe(damage);
    }
  });

  test('killed at any instant it is running or hibernated, and goes on', async () => {
    const { id } = busy.spec;
    await provider.close();
    let counted = 0;
    const seen = new Set<string>();
    for (let round = 0; round < 10; round++) {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'persistence.fixture.ts'), harness.dataDir, id], { stdio: ['ignore', 'pipe', 'inherit'] });
      const exited = once(child, 'exit');
      await once(child.stdout, 'data');
      await sleep(15 + Math.random() * 450);
      child.kill('SIGKILL');
      expect((await exited)[1]).toBe('SIGKILL');
      provider = await harness.restart();
      const { status } = await provider.get(id, options());
      expect(['running', 'hibernated']).toContain(status);
      seen.add(status);
      if (status === 'hibernated') expect(await provider.wake(id, options())).toMatchObject({ restored: 'memory' });
      await busy.check();
      const count = await busy.count();
      expect(count).toBeGreaterThan(counted);
      counted = count;
      await provider.close();
    }
    provider = await harness.restart();
    process.stdout.write(`states found after ten kills: ${[...seen].join(', ')}\n`);
  });

  test('half-made snapshots are removed when it is opened', async () => {
    await provider.snapshot(busy.spec.id, { snapshotId: 'snp_whole', memory: false }, options());
    const snapshots = join(harness.dataDir, 'storage/snapshots');
    await mkdir(join(snapshots, '.snp_half.new/disk'), { recursive: true });
    provider = await harness.restart();
    expect((await provider.listSnapshots(options())).map((snapshot) => snapshot.id)).toEqual(['snp_whole']);
    expect(await readdir(snapshots)).toEqual(['snp_whole']);
    await provider.deleteSnapshot('snp_whole', options());
  });

  test('a workspace of 1 GB forks in under a second and shares its blocks', async () => {
    const spec = specFor(provider, 'default', { limits: { cpus: 1, memoryBytes: 512 * 2 ** 20, pids: 128, diskBytes: 3 * 2 ** 30 } });
    const forked = { ...spec, id: specFor(provider, 'default').id };
    made.push(spec.id, forked.id);
    await provider.create(spec, options());
    await shell(provider, spec, 'head -c 1073741824 /dev/urandom > big; sync big');
    const startedMs = performance.now();
    await provider.fork({ sandboxId: spec.id }, [forked], options());
    const tookMs = performance.now() - startedMs;
    process.stdout.write(`fork of 1 GB: ${tookMs.toFixed(0)} ms\n`);
    expect(tookMs).toBeLessThan(1000);
    const sum = 'cksum < big';
    expect((await shell(provider, forked, sum)).stdout).toBe((await shell(provider, spec, sum)).stdout);
    const exclusive = await eventually(async () => (await provider.snapshot(forked.id, { snapshotId: 'snp_big', memory: false }, options())).sizeBytes);
    expect(exclusive).toBeLessThan(64 * 2 ** 20);
    await provider.deleteSnapshot('snp_big', options());
  });
});
