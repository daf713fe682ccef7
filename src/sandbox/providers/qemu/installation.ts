import { chmod, mkdir, readdir, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import { findProgram } from '../../find-program.ts';
import { driverDirectory, openInstallation, type Installation, type InstallationOptions } from '../../microvm/driver/installation.ts';
import { mustRun } from '../../run-command.ts';
import { chooseAccelerator, type Accelerator } from './accelerator.ts';
import { openLayers, type Layers } from './disk.ts';
import type { MachineFiles } from './machine.ts';
import { openSeeds, type Seeds } from './seeds.ts';

export const driverName = 'qemu';
export const qemuProgram = 'qemu-system-x86_64';
/** Beyond those of accounts, containers and systemd. */
export const uids = { first: 1_900_000_000, count: 2 ** 24 };

/** What this driver has beyond what every kind of machine has. */
export interface QemuInstallation extends Installation {
  files: MachineFiles;
  qemu: string;
  accelerator: Accelerator;
  layers: Layers;
  seeds: Seeds;
}

export async function openQemu(options: Pick<InstallationOptions, 'dataDir' | 'agentsDir' | 'placeBundle' | 'fullNetwork'>): Promise<QemuInstallation> {
  const directory = driverDirectory(options.dataDir, driverName);
  // It would end an option of QEMU's.
  if (/[,\s]/.test(directory)) {
    throw new BerthError('invalid_request', `the data directory's path must not contain a comma or spaces: ${directory}`);
  }
  const qemu = await findProgram(qemuProgram);
  if (qemu === null || (await findProgram('qemu-img')) === null) {
    throw new BerthError('unavailable', 'QEMU is not installed (apt-get install qemu-system-x86 qemu-utils)');
  }
  return openInstallation({ ...options, name: driverName, kernelForm: 'bzImage' }, (installation) => extend(installation, qemu));
}

async function extend(installation: Installation, qemu: string): Promise<QemuInstallation> {
  const { id, directory, runDir, sandboxesDir, images, agents } = installation;
  const accelerator = await chooseAccelerator(qemu, installation.kernel);
  const files = { directory, alias: join(runDir, 'data') };
  await mkdir(files.alias, { recursive: true });
  // Machines' users go through: to their sockets, and to their disks.
  for (const path of [dirname(runDir), runDir, sandboxesDir]) await chmod(path, 0o711);
  const seeds = await openSeeds({
    directory: join(directory, 'seeds'),
    runDir,
    files,
    installation: id,
    uid: uids.first + (Number.parseInt(id.slice(0, 6), 16) % uids.count),
    qemu,
    qemuVersion: (await mustRun(qemu, ['--version'])).split('\n')[0]!,
    accelerator,
    agentsImage: agents.path,
    blank: (sizeBytes, signal) => images.blank(sizeBytes, signal),
  });
  return {
    ...installation,
    files,
    qemu,
    accelerator,
    layers: await openLayers(join(directory, 'layers')),
    seeds,
    async release() {
      await seeds.close();
      // A machine that goes on has it mounted.
      if ((await readdir(runDir)).join() === basename(files.alias)) await rmdir(files.alias);
      await installation.release();
    },
  };
}
