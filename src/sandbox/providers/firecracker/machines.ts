import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machines, Sandbox } from '../../microvm/driver/machines.ts';
import { cardOf, connectCard } from '../../microvm/driver/network.ts';
import { sandboxRecord } from '../../microvm/driver/record.ts';
import { createMachineApi } from './api.ts';
import { createDisks } from './disks.ts';
import { uids, type FirecrackerInstallation } from './installation.ts';
import { bootMachine, loadMemory, saveMemory, startMachine, type MachineStart } from './machine.ts';
import { fileNames, machinePaths, machineSockets } from './paths.ts';
import type { MachineLimits } from './rate-limits.ts';
import type { FirecrackerKind } from './record.ts';

/** Firecracker's machines, each booted from its disk. */
export function createMachines(installation: FirecrackerInstallation, limits: MachineLimits): Machines<FirecrackerKind> {
  const placesOf = (id: string) => machinePaths(installation, id);
  const socketsOf = (id: string) => machineSockets(placesOf(id).short);

  function startOf({ id, paths, record }: Sandbox<FirecrackerKind>): MachineStart {
    return {
      card: cardOf(installation, id, record),
      programs: installation.programs,
      jailsDir: installation.jailsDir,
      id,
      uid: record.uid,
      disk: join(paths.directory, fileNames.disk),
      log: paths.log,
      processFile: paths.process,
      shape: record.shape,
      agentsImage: installation.agents.path,
      limits,
      ...placesOf(id),
    };
  }

  return {
    recordSchema: sandboxRecord,
    uids,
    directoryMode: 0o700,
    vcpuPrefix: 'fc_vcpu',
    memoryCompanions: [fileNames.state],
    lines: (id) => ({ link: socketsOf(id).link, control: socketsOf(id).control }),
    // It writes the whole memory.
    memoryRoomBytes: ({ memoryBytes }) => memoryBytes,

    async start(sandbox, signal) {
      await connectCard(installation, sandbox);
      const start = startOf(sandbox);
      await bootMachine(await startMachine(start, signal), start);
    },
    async load(sandbox, memory, signal, committed) {
      await connectCard(installation, sandbox);
      const start = startOf(sandbox);
      const machine = await startMachine(start, signal);
      await loadMemory(machine, start, { memory, state: join(sandbox.paths.directory, fileNames.state) });
      await committed();
      await machine.setState('Resumed');
    },
    async save(sandbox, signal) {
      const { memory, directory } = sandbox.paths;
      const beside = { memory: `${memory}.new`, state: join(directory, `${fileNames.state}.new`) };
      await saveMemory(createMachineApi(socketsOf(sandbox.id).api, signal), startOf(sandbox), beside);
    },
    async state({ id }, signal) {
      const state = await createMachineApi(socketsOf(id).api, signal).state();
      if (state === 'Not started') return 'new';
      return state === 'Running' ? 'running' : 'held';
    },
    async hold(id, signal) {
      await createMachineApi(socketsOf(id).api, signal).setState('Paused');
    },
    async letGo(id, signal) {
      await createMachineApi(socketsOf(id).api, signal).setState('Resumed');
    },
    // It cannot take a card away. Without its device that is one which nothing comes from and nothing goes out by.
    unplug: () => Promise.resolve(),
    async clear(id) {
      const { short, jail } = placesOf(id);
      await rm(short, { force: true });
      await rm(jail, { recursive: true, force: true });
    },

    ...createDisks(installation),
  };
}
