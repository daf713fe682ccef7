import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { BerthError } from '../../../protocol/errors.ts';
import type { Machines, Sandbox } from '../../microvm/driver/machines.ts';
import { connectCard } from '../../microvm/driver/network.ts';
import { createDisks } from './disks.ts';
import { uids, type QemuInstallation } from './installation.ts';
import { cardBackend, machineUp, startMachine, whyEnded } from './machine.ts';
import { callOffMs, memoryLoaded, saveMemory } from './memory-transfer.ts';
import { machineSockets } from './paths.ts';
import { openQmp, type Qmp } from './qmp.ts';
import { liveProcess } from '../../microvm/processes.ts';
import { sandboxRecord, type QemuKind } from './record.ts';

const status = z.looseObject({ status: z.string() });

/** QEMU's machines. A start is a memory taken in too: that of the shape's seed. */
export function createMachines(installation: QemuInstallation): Machines<QemuKind> {
  const runOf = (id: string) => join(installation.runDir, id);
  const socketsOf = (id: string) => machineSockets(runOf(id));

  async function withMonitor<T>(id: string, signal: AbortSignal, use: (qmp: Qmp) => Promise<T>): Promise<T> {
    const qmp = await openQmp(socketsOf(id).monitor, signal);
    try {
      return await use(qmp);
    } finally {
      qmp.close();
    }
  }

  async function load(sandbox: Sandbox<QemuKind>, memory: string, signal: AbortSignal, committed: () => Promise<void>): Promise<void> {
    const { id, paths, record } = sandbox;
    signal.throwIfAborted();
    await startMachine({
      files: installation.files,
      name: `berth-${installation.id}-${id}`,
      qemu: installation.qemu,
      accelerator: installation.accelerator,
      shape: record.shape,
      card: await connectCard(installation, sandbox),
      uid: record.uid,
      disk: join(paths.directory, record.disk),
      agentsImage: installation.agents.path,
      run: runOf(id),
      log: paths.log,
      processFile: paths.process,
      memory,
    });
    await machineUp(runOf(id), paths.process, paths.log, signal);
    try {
      await withMonitor(id, signal, async (qmp) => {
        await memoryLoaded(qmp, signal);
        await committed();
        await qmp.run('cont');
      });
    } catch (error) {
      signal.throwIfAborted();
      // What it says itself tells more than a line that broke.
      throw (await liveProcess(paths.process)) === null ? await whyEnded(paths.log) : error;
    }
  }

  return {
    recordSchema: sandboxRecord,
    uids,
    // Its machine's user goes through to the disk.
    directoryMode: 0o711,
    vcpuPrefix: 'CPU ',
    memoryCompanions: [],
    lines: (id) => ({ link: socketsOf(id).link, control: socketsOf(id).control }),
    // What is zero is not written, and a guest gives back what it has freed.
    memoryRoomBytes: ({ memoryBytes }) => memoryBytes / 4,

    async start(sandbox, signal) {
      const seed = await installation.seeds.ensure(sandbox.record.shape, signal);
      await load(sandbox, seed, signal, () => Promise.resolve());
    },
    load,
    async save({ id, paths, record }, signal) {
      signal.throwIfAborted();
      const monitored = new AbortController();
      // Over the monitor it is called off, so that is given up later.
      const later = () => setTimeout(() => monitored.abort(signal.reason), callOffMs).unref();
      signal.addEventListener('abort', later, { once: true });
      try {
        await withMonitor(id, monitored.signal, (qmp) => saveMemory(qmp, socketsOf(id).memory, record.uid, `${paths.memory}.new`, signal));
      } finally {
        signal.removeEventListener('abort', later);
      }
    },
    async state({ id }, signal) {
      const found = status.parse(await withMonitor(id, signal, (qmp) => qmp.run('query-status'))).status;
      if (found === 'inmigrate' || found === 'prelaunch') return 'new';
      if (found === 'io-error') return 'full';
      return found === 'running' ? 'running' : 'held';
    },
    async hold(id, signal) {
      await withMonitor(id, signal, (qmp) => qmp.run('stop'));
    },
    async letGo(id, signal) {
      await withMonitor(id, signal, (qmp) => qmp.run('cont'));
    },
    async unplug(id, signal) {
      await withMonitor(id, signal, (qmp) => qmp.run('netdev_del', { id: cardBackend })).catch((error: unknown) => {
        if (!(error instanceof BerthError) || error.context['class'] !== 'DeviceNotFound') throw error;
      });
    },
    async clear(id) {
      await rm(runOf(id), { recursive: true, force: true });
    },

    ...createDisks(installation, withMonitor),
  };
}
