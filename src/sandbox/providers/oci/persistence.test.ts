import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBusySandbox, type BusySandbox } from '../../../../test/conformance/busy-sandbox.ts';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { options, shell, specFor } from '../../../../test/conformance/sandbox-provider.ts';
import type { SandboxProvider } from '../../../core/ports/sandbox-provider.ts';
import { runtimeStateDir } from '../../installation-paths.ts';
import { installationId } from '../../instance-lock.ts';
import { releaseStorage } from '../../storage/release.ts';
import { mustRun } from '../../run-command.ts';
import { openHarness, type OciHarness } from './oci.fixture.ts';

sandboxPersistenceSuite('oci', openHarness);

/** Kills of each operation; more in a long run. */
const rounds = Number(process.env['BERTH_TEST_ROUNDS'] ?? 2);
/** About how long each takes. */
const longestMs = { pause: 25, hibernate: 450, wake: 350, snapshot: 150, fork: 400 };

describe('oci: persistence', () => {
  let harness: OciHarness;
  let provider: SandboxProvider;
  let busy: BusySandbox;

  beforeAll(async () => {
    harness = await openHarness();
    provider = harness.provider;
    await provider.list(options());
    busy = await createBusySandbox(() => provider, 'default');
  });

  afterAll(async () => {
    for (const info of await provider.list(options())) await provider.destroy(info.id, options());
    const left = await harness.leftovers(busy.spec.id);
    await harness.cleanup();
    expect(left).toEqual([]);
  });

  const can = () => provider.capabilities.hibernate !== 'none';
  const images = () => join(harness.dataDir, 'storage/images');

  async function withCriu(script: string, run: () => Promise<void>): Promise<void> {
    const wrapper = join(runtimeStateDir(await installationId(harness.dataDir)), 'criu');
    const good = await readFile(wrapper, 'utf8');
    await writeFile(wrapper, `#!/bin/sh\n${script}\n`);
    try {
      await run();
    } finally {
      await writeFile(wrapper, good);
    }
  }

  async function refused(expected: object): Promise<void> {
    const { id } = busy.spec;
    await expect(provider.hibernate(id, options())).rejects.toMatchObject(expected);
    expect((await provider.get(id, options())).status).toBe('running');
    expect((await readdir(images())).filter((name) => name.startsWith(id))).toEqual([]);
    await busy.check();
  }

  test('blocks are shared', async () => {
    await shell(provider, busy.spec, 'head -c 67108864 /dev/urandom > big; sync big');
    const forked = { ...busy.spec, id: specFor(provider, 'default').id };
    await provider.fork({ sandboxId: busy.spec.id }, [forked], options());
    expect((await shell(provider, forked, 'cksum < big')).stdout).toBe(
      (await shell(provider, busy.spec, 'cksum < big')).stdout,
    );
    const snapshot = await provider.snapshot(forked.id, { snapshotId: 'snp_big', memory: false }, options());
    expect(snapshot.sizeBytes).toBeLessThan(32 * 2 ** 20);
    await provider.deleteSnapshot('snp_big', options());
    await provider.destroy(forked.id, options());
    expect(await harness.leftovers(forked.id)).toEqual([]);
  });

  test('what a crash left half made is removed when it is opened, and a sandbox it held goes on', async () => {
    await provider.snapshot(busy.spec.id, { snapshotId: 'snp_whole', memory: false }, options());
    const [snapshots, sandboxes] = [join(harness.dataDir, 'storage/snapshots'), join(harness.dataDir, 'sandboxes')];
    await mkdir(join(snapshots, '.snp_half.new/disk'), { recursive: true });
    await mkdir(join(sandboxes, 'sbx_half'));
    await writeFile(join(sandboxes, 'sbx_half/creating'), 'fork');
    await provider.pause(busy.spec.id, options());
    await writeFile(join(sandboxes, busy.spec.id, 'held'), '');
    provider = await harness.restart();
    expect((await provider.listSnapshots(options())).map((snapshot) => snapshot.id)).toEqual(['snp_whole']);
    expect(await readdir(snapshots)).toEqual(['snp_whole']);
    expect((await provider.list(options())).map((info) => [info.id, info.status])).toEqual([[busy.spec.id, 'running']]);
    expect((await shell(provider, busy.spec, 'echo on')).stdout).toBe('on');
    await provider.deleteSnapshot('snp_whole', options());
  });

  test('the storage unmounted in between, the runtime directory and the cgroups gone, as after a reboot: it wakes', async () => {
    if (!can()) return;
    await provider.hibernate(busy.spec.id, options());
    await provider.close();
    await releaseStorage(harness.dataDir);
    provider = await harness.restart();
    expect(await provider.wake(busy.spec.id, options())).toMatchObject({ restored: 'memory', reason: null });
    await busy.check();
  });

  test('a process that cannot be written: it says so, and the sandbox goes on', async () => {
    if (!can()) return;
    const traced = `import ctypes,os,time
if os.fork() == 0: ctypes.CDLL(None).ptrace(0,0,0,0)
time.sleep(60)`;
    await shell(provider, busy.spec, `setsid python3 -c '${traced}' >/dev/null 2>&1 & sleep 0.5`);
    await refused({ code: 'upstream_failed', message: expect.stringContaining('python3 is being traced') as string });
    await provider.pause(busy.spec.id, options());
    await expect(provider.hibernate(busy.spec.id, options())).rejects.toMatchObject({ code: 'upstream_failed' });
    expect((await provider.get(busy.spec.id, options())).status).toBe('paused');
    await provider.resume(busy.spec.id, options());
    await shell(provider, busy.spec, 'pkill -KILL python3; true');
  });

  test('a full disk: it says so, and the sandbox goes on', async () => {
    if (!can()) return;
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', images()]);
    try {
      await refused({ code: 'resource_exhausted' });
    } finally {
      await mustRun('umount', [images()]);
    }
  });

  test('an image that cannot be restored: it starts from its disk, and says why', async () => {
    if (!can()) return;
    const spec = specFor(provider, 'default');
    await provider.create(spec, options());
    for (const damage of ['pages', 'facts', 'criu'] as const) {
      await shell(provider, spec, `echo ${damage} > note`);
      await provider.hibernate(spec.id, options());
      const image = join(images(), spec.id);
      if (damage === 'pages') await truncate(join(image, 'pages-1.img'), 4096);
      if (damage === 'facts') await rm(join(image, 'berth.json'));
      const woken = async () => {
        const result = await provider.wake(spec.id, options());
        expect(result, damage).toMatchObject({ restored: 'disk', info: { status: 'running' } });
        expect(result.reason, damage).toMatch(/\w/);
      };
      await (damage === 'criu' ? withCriu('exit 1', woken) : woken());
      expect((await shell(provider, spec, 'cat note')).stdout).toBe(damage);
    }
    await provider.destroy(spec.id, options());
    expect(await harness.leftovers(spec.id)).toEqual([]);
  });

  for (const operation of ['pause', 'hibernate', 'wake', 'snapshot', 'fork'] as const) {
    test(`killed in the middle of ${operation}: in a legal state, everything goes on, nothing is left`, async () => {
      if ((operation === 'hibernate' || operation === 'wake') && !can()) return;
      const { id } = busy.spec;
      for (let round = 0; round < rounds; round++) {
        const counted = await busy.count();
        await provider.close();
        await runAndKill(operation, Math.random() * longestMs[operation]);
        provider = await harness.restart();
        await settle(operation);
        await busy.check();
        expect(await busy.count(), `round ${round}`).toBeGreaterThan(counted);
        expect((await provider.list(options())).map((info) => info.id)).toEqual([id]);
        expect(await provider.listSnapshots(options())).toEqual([]);
        await harness.expectQuiet([id]);
      }
    });
  }

  async function runAndKill(operation: string, afterMs: number): Promise<void> {
    const fixture = join(import.meta.dirname, 'persistence.fixture.ts');
    const args = ['--disable-warning=ExperimentalWarning', fixture, harness.dataDir, busy.spec.id, operation];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    await once(child.stdout, 'data');
    await sleep(afterMs);
    child.kill('SIGKILL');
    expect((await exited)[1], 'the fixture was killed').toBe('SIGKILL');
  }

  /** What a server does that finds what another left. */
  async function settle(operation: string): Promise<void> {
    const { id } = busy.spec;
    const { status } = await provider.get(id, options());
    const legal = {
      pause: ['running', 'paused'],
      hibernate: ['running', 'hibernated'],
      wake: ['running', 'hibernated'],
    };
    expect(Object.hasOwn(legal, operation) ? legal[operation as keyof typeof legal] : ['running']).toContain(status);
    if (status === 'paused') await provider.resume(id, options());
    if (status === 'hibernated')
      expect(await provider.wake(id, options())).toMatchObject({ restored: 'memory', reason: null });
    for (const snapshot of await provider.listSnapshots(options()))
      await provider.deleteSnapshot(snapshot.id, options());
    for (const info of await provider.list(options())) {
      if (info.id === id) continue;
      expect(['running', 'stopped', 'broken'], 'one that was being destroyed').toContain(info.status);
      await provider.destroy(info.id, options());
    }
  }
});

describe('oci: storage without reflinks', () => {
  test('snapshots and forks are refused', async () => {
    const harness = await openHarness({ storage: 'directory' });
    const { provider } = harness;
    try {
      await provider.list(options());
      if (provider.capabilities.snapshot !== 'none') {
        process.stdout.write('skipped: the temporary directory is on a file system with reflinks\n');
        return;
      }
      const spec = specFor(provider, 'default');
      const request = { snapshotId: 'snp_x', memory: false };
      await expect(provider.snapshot(spec.id, request, options())).rejects.toMatchObject({ code: 'unsupported' });
      await expect(provider.fork({ snapshotId: 'snp_x' }, [spec], options())).rejects.toMatchObject({
        code: 'unsupported',
      });
      expect(await provider.listSnapshots(options())).toEqual([]);
    } finally {
      await harness.cleanup();
    }
  });
});
