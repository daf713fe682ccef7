import { truncate } from 'node:fs/promises';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asksFor } from '../../../../test/conformance/asks-for.ts';
import { openSmallInternet } from '../../../../test/fixtures/small-internet.ts';
import { sandboxFailureSuite } from '../../../../test/conformance/sandbox-failures.ts';
import { sandboxNetworkSuite } from '../../../../test/conformance/sandbox-network.ts';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { options, patienceMs, runnerOf, sandboxProviderSuite, specFor } from '../../../../test/conformance/sandbox-provider.ts';
import type { SandboxProvider, SandboxSpec } from '../../../core/ports/sandbox-provider.ts';
import { cardAddress } from '../../full-network/names.ts';
import { liveProcess } from '../../microvm/processes.ts';
import { createFirecrackerHarness, notOnContract, testCardLimits, testDriveLimits, type FirecrackerHarness } from './firecracker.fixture.ts';
import { driverDirectory } from '../../microvm/driver/installation.ts';
import { driverName } from './installation.ts';

const wanted = asksFor('firecracker');
if (!wanted) process.stdout.write('skipped: the whole suites on firecracker, for which BERTH_TEST_PROVIDERS=firecracker asks where KVM boots a guest\n');

describe.skipIf(!wanted)('the whole suites', () => {
  sandboxProviderSuite('firecracker', () => createFirecrackerHarness(true));
  sandboxPersistenceSuite('firecracker', () => createFirecrackerHarness(true));
  sandboxNetworkSuite('firecracker', ({ namespace }) => createFirecrackerHarness(true, { fullNetwork: { namespace } }));
  sandboxFailureSuite('firecracker', (directory) => createFirecrackerHarness(true, {}, directory));
});

describe('what of the suites the contract server can tell', () => {
  const name = 'firecracker/contract';
  sandboxProviderSuite(name, () => createFirecrackerHarness(false), notOnContract.provider);
  sandboxPersistenceSuite(name, () => createFirecrackerHarness(false), notOnContract.persistence);
  sandboxNetworkSuite(name, ({ namespace }) => createFirecrackerHarness(false, { fullNetwork: { namespace } }), notOnContract.network);
  sandboxFailureSuite(name, (directory) => createFirecrackerHarness(false, {}, directory), notOnContract.failures);
});

describe('firecracker, held to the description of its interface', () => {
  let harness: FirecrackerHarness;
  let provider: SandboxProvider;
  let spec: SandboxSpec;

  beforeAll(async () => {
    harness = await createFirecrackerHarness(false);
    provider = harness.provider;
    spec = specFor(provider, harness.template, { env: { GREETING: 'good day' } });
    await provider.create(spec, options());
  });
  afterAll(() => harness.cleanup());

  const status = async () => (await provider.get(spec.id, options())).status;
  const pathOf = (dataDir: string, id: string, name: string) => join(driverDirectory(dataDir, driverName), 'sandboxes', id, name);
  const fileOf = (name: string) => pathOf(harness.dataDir, spec.id, name);

  /** What a machine says that it is made of. */
  async function configurationOf({ dataDir }: FirecrackerHarness, id: string) {
    const socketPath = `/proc/${(await liveProcess(pathOf(dataDir, id, 'machine.json')))!.pid}/cwd/api.sock`;
    return (await new Promise<unknown>((resolve, reject) => {
      get({ socketPath, path: '/vm/config' }, (response) => resolve(json(response))).on('error', reject);
    })) as { drives: object[]; 'network-interfaces': { host_dev_name: string }[]; 'machine-config': object; balloon: object };
  }

  async function run(script: string, of: SandboxSpec = spec): Promise<string> {
    const runner = runnerOf(provider, of);
    try {
      const result = await runner.exec({ argv: ['/bin/sh', '-c', script], timeoutMs: patienceMs }, options().signal);
      return Buffer.from(result.stdout).toString('utf8').trim();
    } finally {
      runner.close();
    }
  }

  test('boots, and reaches its runner over the vsock with the identity that it was given', async () => {
    expect(await provider.probe(options())).toMatchObject({ usable: true });
    expect(await provider.list(options())).toEqual([await provider.get(spec.id, options())]);
    expect(await run('echo "$GREETING"; id -u')).toBe('good day\n1000');
    const stats = await provider.stats(spec.id, options());
    expect(stats.memoryBytes).toBeGreaterThan(0);
    expect(stats.pids).toBe(3);
  });

  test('the machine is a process of a user of its own, in a jail that has what it needs and no more', async () => {
    const record = (await harness.recordOf(spec.id))!;
    const machine = (await liveProcess(fileOf('machine.json')))!;
    expect(readFileSync(`/proc/${machine.pid}/status`, 'utf8')).toMatch(new RegExp(`^Uid:\\s+${record.uid}\\s+${record.uid}`, 'm'));
    const root = `/proc/${machine.pid}/cwd`;
    const shared = ['kernel', 'initramfs', 'root.img', 'runner.img', 'agents.img'];
    for (const name of shared) expect(statSync(join(root, name)), name).toMatchObject({ uid: 0 });
    for (const name of shared) expect(statSync(join(root, name)).mode & 0o022, name).toBe(0);
    expect(statSync(join(root, 'disk.img'))).toMatchObject({ uid: record.uid, ino: statSync(fileOf('disk.img')).ino });
  });

  test('has the parts that it was given, each disk with its bounds, and no network card unless it is to have one', async () => {
    const configuration = await configurationOf(harness, spec.id);
    const { bytesPerSecond, operationsPerSecond } = testDriveLimits;
    const bounds = { bandwidth: { size: bytesPerSecond, refill_time: 1000 }, ops: { size: operationsPerSecond, refill_time: 1000 } };
    expect(configuration.drives).toHaveLength(4);
    for (const drive of configuration.drives) expect(drive).toMatchObject({ rate_limiter: bounds });
    expect(configuration['machine-config']).toMatchObject({ vcpu_count: 1, mem_size_mib: 512 });
    expect(configuration.balloon).toMatchObject({ amount_mib: 0, deflate_on_oom: true });
    expect(configuration['network-interfaces']).toEqual([]);
  });

  test('with a full network it has a card, with bounds, on a device that is its own; the device is there while it may be used', async () => {
    const internet = await openSmallInternet();
    const other = await createFirecrackerHarness(false, { fullNetwork: { namespace: internet.namespace } });
    const devices = async () => (await internet.run('ip', '-brief', 'link')).match(/^bf\S+/gm) ?? [];
    try {
      const given = specFor(other.provider, other.template, { network: 'full' });
      await other.provider.create(given, options());
      const { bytesPerSecond, packetsPerSecond } = testCardLimits;
      const bounds = { bandwidth: { size: bytesPerSecond, refill_time: 1000 }, ops: { size: packetsPerSecond, refill_time: 1000 } };
      // That the machine may open the device is looked at by the guest, at a boot and when a memory is taken in.
      const [card, ...more] = (await configurationOf(other, given.id))['network-interfaces'];
      expect(card).toMatchObject({ iface_id: 'card', guest_mac: cardAddress, rx_rate_limiter: bounds, tx_rate_limiter: bounds });
      expect([more, await devices()]).toEqual([[], [card!.host_dev_name]]);
      expect(await internet.run('nft', 'list', 'ruleset')).toContain(`"${card!.host_dev_name}" : goto`);
      await other.provider.hibernate(given.id, options());
      expect(await devices()).toEqual([]);
      const provider = await other.restart();
      expect(await provider.wake(given.id, options())).toMatchObject({ restored: 'memory', info: { network: 'full' } });
      expect(await devices()).toEqual([card!.host_dev_name]);
      const { labels, limits } = given;
      expect((await provider.update(given.id, { labels, limits, network: 'none' }, options())).network).toBeUndefined();
      expect([await devices(), await internet.run('nft', 'list', 'ruleset')]).toEqual([[], '']);
      await provider.stop(given.id, options());
      await provider.start(given.id, options());
      expect((await configurationOf(other, given.id))['network-interfaces']).toEqual([]);
      await provider.destroy(given.id, options());
    } finally {
      await other.cleanup();
      await internet.close();
    }
  });

  test('a life: paused, asleep, copied, forked and stopped, each over a restart of Berth, with what runs in it', async () => {
    await run('echo kept > note; (while :; do date +%s%N > clock; sleep 0.2; done) >/dev/null 2>&1 &');
    const goesOn = async () => {
      const before = await run('cat clock');
      await expect.poll(() => run('cat clock'), { timeout: patienceMs }).not.toBe(before);
    };
    await goesOn();
    await provider.pause(spec.id, options());
    await provider.pause(spec.id, options());
    provider = await harness.restart();
    expect(await status()).toBe('paused');
    await expect(provider.dial(spec.id, 8080, options())).rejects.toMatchObject({ code: 'sandbox_lost' });
    await provider.resume(spec.id, options());
    await provider.hibernate(spec.id, options());
    expect(await provider.stats(spec.id, options())).toMatchObject({ memoryBytes: 0, pids: 0 });
    provider = await harness.restart();
    expect(await status()).toBe('hibernated');
    expect(await provider.wake(spec.id, options())).toMatchObject({ restored: 'memory', reason: null });
    for (const name of ['memory', 'memory.waking', 'memory.size', 'state']) expect(existsSync(fileOf(name)), name).toBe(false);
    await goesOn();
    await provider.snapshot(spec.id, { snapshotId: 'snp_one', memory: false }, options());
    await run('echo later > note');
    const forks = [specFor(provider, harness.template), specFor(provider, harness.template)] as [SandboxSpec, SandboxSpec];
    await provider.fork({ snapshotId: 'snp_one' }, [forks[0]], options());
    await provider.fork({ sandboxId: spec.id }, [forks[1]], options());
    expect([await run('cat note', forks[0]), await run('cat note', forks[1])]).toEqual(['kept', 'later']);
    for (const fork of forks) {
      await harness.recordOf(fork.id);
      await provider.destroy(fork.id, options());
      expect(await harness.leftovers(fork.id)).toEqual([]);
    }
    await provider.deleteSnapshot('snp_one', options());
    expect(await provider.listSnapshots(options())).toEqual([]);
    await provider.stop(spec.id, options());
    provider = await harness.restart();
    expect(await status()).toBe('stopped');
    await provider.start(spec.id, options());
    expect(await run('cat note')).toBe('later');
  });

  test('a memory that is damaged: it starts from its disk, and says why', async () => {
    await provider.hibernate(spec.id, options());
    await truncate(fileOf('memory'), 1_000_000);
    const woken = await provider.wake(spec.id, options());
    expect(woken).toMatchObject({ restored: 'disk', reason: 'the memory is damaged', info: { status: 'running' } });
    expect(await run('cat note')).toBe('later');
  });

  test('a machine that is killed is lost, and what cannot be done is refused', async () => {
    await harness.killInside(spec.id);
    expect(await status()).toBe('stopped');
    await expect(provider.dial(spec.id, 8080, options())).rejects.toMatchObject({ code: 'sandbox_lost' });
    await expect(provider.pause(spec.id, options())).rejects.toMatchObject({ code: 'conflict' });
    await expect(provider.create(spec, options())).rejects.toMatchObject({ code: 'conflict' });
    const half = specFor(provider, harness.template);
    await expect(provider.create({ ...half, limits: { ...half.limits, cpus: 0.5 } }, options())).rejects.toMatchObject({ field: 'limits.cpus' });
    // The description has 32 at most: the machine refuses, and nothing is left.
    await expect(provider.create({ ...half, limits: { ...half.limits, cpus: 33 } }, options())).rejects.toMatchObject({ code: 'upstream_failed' });
    expect(await harness.leftovers(half.id)).toEqual([]);
    await provider.start(spec.id, options());
    await provider.destroy(spec.id, options());
    await provider.destroy(spec.id, options());
    expect(await harness.leftovers(spec.id)).toEqual([]);
  });
});
