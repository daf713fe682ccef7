import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { specFor, type ProviderHarness } from '../../../../test/conformance/sandbox-provider.ts';
import type { SandboxProvider } from '../../../core/ports/sandbox-provider.ts';
import { processesNaming } from '../../../../test/fixtures/processes-naming.ts';
import { installationId } from '../../instance-lock.ts';
import { placeSmallTemplate, smallTemplate } from '../../microvm/small-template.fixture.ts';
import { driverDirectory, machineRunDir } from '../../microvm/driver/installation.ts';
import { killAllOf } from '../../microvm/processes.ts';
import { createMicrovmProvider } from '../../microvm/driver/provider.ts';
import { placePackagedBundle } from '../../runner-layer/bundle.ts';
import { driverName, openQemu } from './installation.ts';
import { createMachines } from './machines.ts';
import { createQemuProvider, type QemuOptions } from './qemu.ts';
import { readRecord } from '../_shared/record-file.ts';
import { sandboxRecord } from './record.ts';
import { createReport } from './report.ts';

/** Of a hibernation: the machine stands still; its memory is being written; it is written and nothing tells of it yet. */
export type HibernationStep = 'held' | 'writing' | 'written';

export interface QemuHarness extends ProviderHarness {
  dataDir: string;
  /** Restarts the provider as one that tells when a hibernation comes to a step, and waits there. */
  restartWatched(onStep: (step: HibernationStep) => void | Promise<void>): Promise<SandboxProvider>;
  /** SIGKILL to its machine, behind the provider's back. */
  killInside(id: string): Promise<void>;
}

/** The first sandbox waits for the images, the kernel and a boot. */
const firstMs = 250_000;

/** Whatever the host still has of a sandbox: processes, sockets, files. */
async function leftovers(dataDir: string, id: string): Promise<string[]> {
  const directory = driverDirectory(dataDir, driverName);
  const found: string[] = [];
  for (const path of ['sandboxes', 'snapshots', 'seeds'].map((name) => join(directory, name))) {
    for (const name of existsSync(path) ? await readdir(path) : []) if (name.includes(id)) found.push(join(path, name));
  }
  const run = join(machineRunDir(driverName, await installationId(directory)), id);
  if (existsSync(run)) found.push(run);
  for (const { pid } of await processesNaming(id)) found.push(`process ${pid}`);
  return found;
}

/** A memory of which this much is there is far from whole. */
const beginningBytes = 1024 ** 2;

function createWatchedProvider(dataDir: string, onStep: (step: HibernationStep) => void | Promise<void>): SandboxProvider {
  return createMicrovmProvider({
    name: driverName,
    stopGraceMs: 500,
    fullNetwork: null,
    probe: () => createReport(null),
    async open() {
      const installation = await openQemu({ dataDir, agentsDir: `${dataDir}/agents`, placeBundle: placePackagedBundle, fullNetwork: null });
      const machines = createMachines(installation);
      return {
        installation,
        machines: {
          ...machines,
          async hold(id, signal) {
            await machines.hold(id, signal);
            await onStep('held');
          },
          async save(sandbox, signal) {
            const saving = machines.save(sandbox, signal);
            const ended = saving.then(
              () => true,
              () => true,
            );
            const begun = async () => ((await stat(`${sandbox.paths.memory}.new`).catch(() => null))?.size ?? 0) > beginningBytes;
            while (!(await begun()) && !(await Promise.race([ended, sleep(1, false)])));
            await onStep('writing');
            await saving;
            await onStep('written');
          },
        },
      };
    },
  });
}

/** One installation for several suites, one after the other: what the first sandbox waits for is waited for once. */
export function createSharedHarness(parent: () => Promise<string>): { open(more?: Partial<QemuOptions>): Promise<QemuHarness>; remove(): Promise<void> } {
  let dataDir: string | null = null;
  /** The networks of which there is a seed. */
  const seeded = new Set<string>();
  return {
    async open(more = {}) {
      const fresh = dataDir === null;
      const directory = (dataDir ??= await mkdtemp(join(await parent(), 'berth-qemu-')));
      if (fresh) await placeSmallTemplate(join(directory, 'templates'));
      const create = () => createQemuProvider({ dataDir: directory, stopGraceMs: 500, ...more });
      let provider = create();
      const network = more.fullNetwork == null ? 'none' : 'full';
      if (!seeded.has(network)) {
        seeded.add(network);
        const first = specFor(provider, smallTemplate, { network });
        const signal = AbortSignal.timeout(firstMs);
        await provider.create(first, { signal });
        await provider.destroy(first.id, { signal });
      }
      return {
        dataDir: directory,
        provider,
        template: smallTemplate,
        slow: true,
        async restart() {
          await provider.close();
          provider = create();
          return provider;
        },
        async restartWatched(onStep) {
          await provider.close();
          provider = createWatchedProvider(directory, onStep);
          return provider;
        },
        async killInside(id: string) {
          const record = await readRecord(join(driverDirectory(directory, driverName), 'sandboxes', id, 'sandbox.json'), sandboxRecord);
          if (record !== null) await killAllOf(record.uid);
        },
        leftovers: (id) => leftovers(directory, id),
        cleanup: () => provider.close(),
      };
    },
    async remove() {
      if (dataDir === null) return;
      // What a failed case left.
      const provider = createQemuProvider({ dataDir, stopGraceMs: 0 });
      const signal = AbortSignal.timeout(60_000);
      for (const { id } of await provider.list({ signal })) await provider.destroy(id, { signal });
      await provider.close();
      const directory = driverDirectory(dataDir, driverName);
      if (existsSync(join(directory, 'installation'))) {
        await rm(machineRunDir(driverName, await installationId(directory)), { recursive: true, force: true });
      }
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
