import { readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSmallDisk, type SmallDisk } from '../../../../test/fixtures/small-disk.ts';
import { sandboxFailureSuite } from '../../../../test/conformance/sandbox-failures.ts';
import { sandboxNetworkSuite } from '../../../../test/conformance/sandbox-network.ts';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { options, patienceMs, sandboxProviderSuite, shell, specFor } from '../../../../test/conformance/sandbox-provider.ts';
import type { SandboxProvider, SandboxSpec } from '../../../core/ports/sandbox-provider.ts';
import { driverDirectory, machineRunDir } from '../../microvm/driver/installation.ts';
import { missingForQemu } from '../../microvm/qemu-missing.fixture.ts';
import { installationId } from '../../instance-lock.ts';
import { driverName } from './installation.ts';
import { liveProcess } from '../../microvm/processes.ts';
import { machineSockets } from './paths.ts';
import { openQmp } from './qmp.ts';
import { createSharedHarness, type HibernationStep, type QemuHarness } from './qemu.fixture.ts';

let disk: Promise<SmallDisk> | null = null;
/** All is on one that can be filled. */
const findDisk = () => (disk ??= openSmallDisk());
const shared = createSharedHarness(async () => (await findDisk()).path);
afterAll(async () => {
  await shared.remove();
  await (await disk)?.remove();
});

const missing = await missingForQemu();
if (missing !== null) process.stdout.write(`skipped: qemu, for want of ${missing} (scripts/setup.sh test)\n`);

describe.skipIf(missing !== null)('the whole suites', () => {
  sandboxProviderSuite('qemu', () => shared.open());
  sandboxPersistenceSuite('qemu', () => shared.open());
  sandboxNetworkSuite('qemu', ({ namespace }) => shared.open({ fullNetwork: { namespace } }));
  sandboxFailureSuite('qemu', () => shared.open(), {}, async () => ({ ...(await findDisk()), remove: () => Promise.resolve() }));
});

describe.skipIf(missing !== null)('qemu', () => {
  let harness: QemuHarness;
  let provider: SandboxProvider;
  let specs: SandboxSpec[];

  beforeAll(async () => {
    harness = await shared.open();
    provider = harness.provider;
    specs = [0, 1].map(() => specFor(provider, harness.template));
    for (const spec of specs) await provider.create(spec, options());
  });

  afterAll(async () => {
    for (const { id } of specs) await provider.destroy(id, options());
    const left = await Promise.all(specs.map(({ id }) => harness.leftovers(id)));
    await harness.cleanup();
    expect(left.flat()).toEqual([]);
  });

  /** What QEMU itself says. */
  async function isHeld(spec: SandboxSpec): Promise<boolean> {
    const run = join(machineRunDir(driverName, await installationId(driverDirectory(harness.dataDir, driverName))), spec.id);
    const qmp = await openQmp(machineSockets(run).monitor, options().signal);
    try {
      return ((await qmp.run('query-status')) as { status: string }).status === 'io-error';
    } finally {
      qmp.close();
    }
  }

  const fileOf = (spec: SandboxSpec, name: string) => join(driverDirectory(harness.dataDir, driverName), 'sandboxes', spec.id, name);

  test('a machine runs as a user of its own that may do nothing else', async () => {
    const uids = await Promise.all(
      specs.map(async (spec) => {
        const machine = await liveProcess(fileOf(spec, 'machine.json'));
        const status = await readFile(`/proc/${machine!.pid}/status`, 'utf8');
        expect(status).toMatch(/^CapEff:\s+0{16}$/m);
        expect(status).toMatch(/^CapBnd:\s+0{16}$/m);
        expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
        expect(status).toMatch(/^Seccomp:\s+2$/m);
        return /^Uid:\s+(\d+)\s+\1\s+\1/m.exec(status)?.[1];
      }),
    );
    expect(Number(uids[0])).toBeGreaterThan(1_000_000_000);
    expect(uids[0]).not.toBe(uids[1]);
  });

  test('sandboxes of one seed have no random number in common, and the time of day', async () => {
    const seen = await Promise.all(
      specs.map((spec) => shell(provider, spec, 'cat /proc/sys/kernel/random/uuid; head -c 16 /dev/urandom | cksum; date +%s')),
    );
    const [first, second] = seen.map((result) => result.stdout.split('\n'));
    expect(first![0]).not.toBe(second![0]);
    expect(first![1]).not.toBe(second![1]);
    expect(Math.abs(Number(first![2]) - Date.now() / 1000)).toBeLessThan(30);
  });

  test('in the guest: no network, no disks, no privileges', async () => {
    const run = async (script: string) => (await shell(provider, specs[0]!, script)).stdout;
    expect(await run('ls /sys/class/net')).toBe('lo');
    expect(await run('ls /dev | sort | tr "\\n" " "')).toBe(
      'fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero',
    );
    expect(await run('grep -E "^(CapEff|NoNewPrivs)" /proc/self/status | tr -d "\\t"')).toBe('CapEff:0000000000000000\nNoNewPrivs:1');
    for (const path of ['/bin', '/etc', '/berth/runner', '/berth/agents', '/sys', '/proc/sys/kernel', '/']) {
      expect(await run(`touch ${path}/x 2>/dev/null; echo $?`), path).not.toBe('0');
    }
  });

  test('a life: paused, asleep, copied and stopped, each over a restart of Berth, with what runs in it', async () => {
    const [spec, other] = specs as [SandboxSpec, SandboxSpec];
    const { id } = spec;
    const status = async () => (await provider.get(id, options())).status;
    const run = async (script: string) => (await shell(provider, spec, script)).stdout;
    await run('echo kept > note; (while :; do date +%s%N > clock; sleep 0.2; done) >/dev/null 2>&1 & echo $! > pid');
    const goesOn = async () => {
      const before = await run('cat clock');
      await expect.poll(() => run('cat clock'), { timeout: patienceMs }).not.toBe(before);
    };
    await provider.pause(id, options());
    provider = await harness.restart();
    expect(await status()).toBe('paused');
    await expect(provider.dial(id, 8080, options())).rejects.toMatchObject({ code: 'sandbox_lost' });
    expect((await provider.resume(id, options())).status).toBe('running');
    await goesOn();
    await provider.hibernate(id, options());
    expect(await provider.stats(id, options())).toMatchObject({ memoryBytes: 0, pids: 0 });
    provider = await harness.restart();
    expect(await status()).toBe('hibernated');
    expect(await provider.wake(id, options())).toMatchObject({ restored: 'memory', reason: null });
    await goesOn();
    await provider.snapshot(id, { snapshotId: 'snp_one', memory: false }, options());
    await run('echo later > note; sync');
    await goesOn();
    const fork = specFor(provider, harness.template);
    await provider.fork({ snapshotId: 'snp_one' }, [fork], options());
    expect((await shell(provider, fork, 'cat note; cat /proc/[0-9]*/comm | grep -c sleep')).stdout).toBe('kept\n0');
    await provider.destroy(fork.id, options());
    await provider.deleteSnapshot('snp_one', options());
    await provider.stop(id, options());
    provider = await harness.restart();
    expect(await status()).toBe('stopped');
    await provider.start(id, options());
    expect(await run('cat note')).toBe('later');
    expect((await shell(provider, other, 'echo alive')).stdout).toBe('alive');
    expect(await harness.leftovers(fork.id)).toEqual([]);
  });

  test('a hibernation that is given up at whatever step, again and again: it goes on where it was, and sleeps when asked once more', async () => {
    const [spec] = specs as [SandboxSpec];
    const { id } = spec;
    const counted = async () => Number((await shell(provider, spec, 'cat count')).stdout);
    await shell(provider, spec, '(i=0; while :; do i=$((i+1)); echo $i > count.new; mv count.new count; sleep 0.2; done) >/dev/null 2>&1 &');
    await expect.poll(counted, { timeout: patienceMs }).toBeGreaterThan(0);
    let step: HibernationStep | null = null;
    let stop = new AbortController();
    provider = await harness.restartWatched((reached) => {
      if (reached === step) stop.abort();
    });
    for (let round = 0; round < 2; round++) {
      for (const each of ['held', 'writing', 'written'] as const) {
        const before = await counted();
        [step, stop] = [each, new AbortController()];
        await expect(provider.hibernate(id, { signal: stop.signal }), each).rejects.toThrow('abort');
        expect(await provider.get(id, options()), each).toMatchObject({ status: 'running' });
        await expect.poll(counted, { timeout: patienceMs }).toBeGreaterThan(before);
      }
      step = null;
      const before = await counted();
      await provider.hibernate(id, options());
      expect(await provider.wake(id, options())).toMatchObject({ restored: 'memory', reason: null });
      await expect.poll(counted, { timeout: patienceMs }).toBeGreaterThan(before);
    }
    provider = await harness.restart();
  });

  test('the disk fills up while it is about to sleep: it says so and goes on', async () => {
    const [spec] = specs as [SandboxSpec];
    const full = await findDisk();
    provider = await harness.restartWatched(async (step) => {
      if (step === 'held') await full.fill(2 * 1024 ** 2);
    });
    try {
      await expect(provider.hibernate(spec.id, options())).rejects.toMatchObject({ code: 'resource_exhausted' });
    } finally {
      await full.empty();
    }
    expect((await shell(provider, spec, 'echo alive')).stdout).toBe('alive');
    provider = await harness.restart();
    await provider.hibernate(spec.id, options());
    expect(await provider.wake(spec.id, options())).toMatchObject({ restored: 'memory', reason: null });
  });

  test('a guest that finds the disk full stands still, and goes on when there is room, with nothing lost', async () => {
    const [spec, other] = specs as [SandboxSpec, SandboxSpec];
    const full = await findDisk();
    await full.fill(8 * 1024 ** 2);
    try {
      const write = 'head -c 67108864 /dev/urandom > big && sync big && cksum < big && cksum big > sum; echo $? > ended';
      await shell(provider, spec, `rm -f ended; (${write}) >/dev/null 2>&1 &`);
      await expect.poll(() => isHeld(spec), { timeout: patienceMs }).toBe(true);
      expect((await provider.get(spec.id, options())).status).toBe('running');
      expect((await shell(provider, other, 'echo alive')).stdout).toBe('alive');
    } finally {
      await full.empty();
    }
    await expect.poll(() => isHeld(spec), { timeout: patienceMs }).toBe(false);
    await expect.poll(async () => (await shell(provider, spec, 'cat ended 2>/dev/null; true')).stdout, { timeout: patienceMs }).toBe('0');
    expect((await shell(provider, spec, 'cksum big | cmp - sum && touch writable && echo same')).stdout).toBe('same');
    await shell(provider, spec, 'rm big; sync');
  });

  test('a memory that is damaged: it starts from its disk, and says why', async () => {
    const [spec] = specs as [SandboxSpec];
    await shell(provider, spec, 'echo kept > note');
    await provider.hibernate(spec.id, options());
    await truncate(fileOf(spec, 'memory'), 1_000_000);
    const woken = await provider.wake(spec.id, options());
    expect(woken).toMatchObject({ restored: 'disk', reason: 'the memory is damaged', info: { status: 'running' } });
    expect((await shell(provider, spec, 'cat note')).stdout).toBe('kept');
  });
});
