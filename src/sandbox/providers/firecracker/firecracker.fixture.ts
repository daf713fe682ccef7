import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { placeFirecracker } from '../../../../test/fixtures/firecracker/index.ts';
import type { NotOnContract } from '../../../../test/conformance/outcomes.ts';
import type { ProviderHarness } from '../../../../test/conformance/sandbox-provider.ts';
import { installationId } from '../../instance-lock.ts';
import { cardModules, guestModules } from '../../microvm/initramfs.ts';
import { killAllOf, processesOf } from '../../microvm/processes.ts';
import { placeSmallTemplate, smallTemplate } from '../../microvm/small-template.fixture.ts';
import { createFirecrackerProvider, type FirecrackerOptions } from './firecracker.ts';
import { driverDirectory, machineRunDir } from '../../microvm/driver/installation.ts';
import { sandboxRecord, type SandboxRecord } from '../../microvm/driver/record.ts';
import { driverName } from './installation.ts';
import { machineId } from './paths.ts';
import { readRecord } from '../_shared/record-file.ts';

export interface FirecrackerHarness extends ProviderHarness {
  dataDir: string;
  recordOf(id: string): Promise<SandboxRecord | null>;
}

/** What is looked at of a kernel and nobody boots, where Berth keeps its own. */
async function placeKernelStandIn(directory: string): Promise<string> {
  const path = join(directory, '6.1.0-stand-in');
  const setup = Buffer.alloc(1024);
  setup[0x1f1] = 1;
  setup.write('HdrS', 0x202, 'latin1');
  const payload = Buffer.concat([gzipSync('\x7fELF'), Buffer.alloc(4)]);
  setup.writeUInt32LE(payload.length, 0x24c);
  for (const name of ['vmlinuz', 'busybox', ...[...guestModules, ...cardModules].map((module) => `modules/${module}`)]) {
    await mkdir(join(path, dirname(name)), { recursive: true });
    await writeFile(join(path, name), name === 'vmlinuz' ? Buffer.concat([setup, payload]) : '');
  }
  return directory;
}

export const testDriveLimits = { bytesPerSecond: 200_000_000, operationsPerSecond: 5000 };
export const testCardLimits = { bytesPerSecond: 50_000_000, packetsPerSecond: 20_000 };

const ofMemory = 'a memory';
const ofLimits = 'limits';
const ofKernel = "a guest's own kernel";
const ofPackets = 'packets';
/** On the contract server a guest is processes of the host that stay while their machine is saved: what would be green for that reason is not. */
export const notOnContract: Record<'provider' | 'persistence' | 'network' | 'failures', NotOnContract> = {
  provider: {
    'processes that are killed from outside: it is lost, and starts from its disk': ofKernel,
    'stats are of this sandbox': ofLimits,
    'limits are enforced, or refused': ofLimits,
    'without a network there is loopback alone, and no way out': ofKernel,
  },
  persistence: {
    'pause holds everything still, also over a restart of Berth, and resume lets it go on': ofMemory,
    'hibernate frees the memory; over a restart of Berth it stays; wake brings everything back': ofMemory,
    'again and again, from paused too, with streams open': ofMemory,
    'clocks, limits and walls are the same after': ofMemory,
    'an abort in the middle leaves it running or hibernated, and whole': ofMemory,
  },
  network: {
    'public addresses are reached by any protocol, from an address of the host': ofPackets,
    'nothing else is: not what is private, nor the host, nor a neighbour, by TCP or UDP': ofPackets,
    'a sandbox without one has loopback alone, and gets and loses one while it runs': ofPackets,
    'connections outlive a restart and a hibernation, at the same address': ofPackets,
    'a fork and one that was stopped have addresses of their own': ofPackets,
    'what a crash left of sandboxes that are gone is removed at the next start': ofPackets,
  },
  failures: {
    'a full disk: what needs room says so and leaves nothing, the rest goes on, and with room again all works': ofMemory,
    'what it runs in is killed: a command under way says so, and what was on the disk is there again': ofKernel,
  },
};

/** `live`: with the programs of this machine, on its KVM; else with what holds the driver to their description. */
export async function createFirecrackerHarness(live: boolean, more: Partial<FirecrackerOptions> = {}, parent = tmpdir()): Promise<FirecrackerHarness> {
  const dataDir = await mkdtemp(join(parent, 'berth-fc-'));
  await chmod(dataDir, 0o711);
  const programs = live ? null : await placeFirecracker(join(dataDir, 'programs'));
  await placeSmallTemplate(join(dataDir, 'templates'));
  const options: FirecrackerOptions = {
    dataDir,
    stopGraceMs: 500,
    driveLimits: testDriveLimits,
    cardLimits: testCardLimits,
    ...more,
    ...(programs === null ? {} : { firecracker: programs.firecracker, jailer: programs.jailer, kvmDevice: '/dev/null', kernelDir: await placeKernelStandIn(join(dataDir, 'kernel')) }),
  };
  let provider = createFirecrackerProvider(options);
  const uids = new Map<string, number>();

  async function recordOf(id: string): Promise<SandboxRecord | null> {
    const record = await readRecord(join(driverDirectory(dataDir, driverName), 'sandboxes', id, 'sandbox.json'), sandboxRecord);
    if (record !== null) uids.set(id, record.uid);
    return record;
  }

  return {
    dataDir,
    get provider() {
      return provider;
    },
    template: smallTemplate,
    // Each machine is three of Node's processes.
    slow: !live,
    recordOf,
    async restart() {
      await provider.close();
      provider = createFirecrackerProvider(options);
      return provider;
    },
    async killInside(id) {
      const record = await recordOf(id);
      if (record !== null) await killAllOf(record.uid);
    },
    async leftovers(id) {
      const directory = driverDirectory(dataDir, driverName);
      const run = machineRunDir(driverName, await installationId(directory));
      const found: string[] = [];
      for (const path of ['sandboxes', 'snapshots', 'jails/firecracker'].map((name) => join(directory, name)).concat(run)) {
        const names = existsSync(path) ? await readdir(path) : [];
        found.push(...names.filter((name) => name.includes(id) || name === machineId(id)).map((name) => join(path, name)));
      }
      const uid = uids.get(id);
      if (uid !== undefined) found.push(...processesOf(uid).map((pid) => `process ${pid}`));
      return found;
    },
    async cleanup() {
      const signal = AbortSignal.timeout(60_000);
      const last = createFirecrackerProvider(options);
      await provider.close();
      // What a failed case left.
      for (const { id } of await last.list({ signal })) await last.destroy(id, { signal });
      await last.close();
      await programs?.endGuests();
      const directory = driverDirectory(dataDir, driverName);
      if (existsSync(join(directory, 'installation'))) {
        await rm(machineRunDir(driverName, await installationId(directory)), { recursive: true, force: true });
      }
      // Guests that were just killed may still be writing.
      await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}
