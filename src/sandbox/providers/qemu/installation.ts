import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import { findProgram } from '../../find-program.ts';
import { installationId, lockInstallation, type InstanceLock } from '../../instance-lock.ts';
import { openAgentsImage, type AgentsImage } from '../../microvm/agents-image.ts';
import { createControlLines, type ControlLines } from '../../microvm/control-line.ts';
import { fetchGuestKernel, placeKernel, type GuestKernel } from '../../microvm/guest-kernel.ts';
import { openImages, type Images } from '../../microvm/images.ts';
import { mustRun } from '../../run-command.ts';
import type { PlaceBundle } from '../../runner-layer/bundle.ts';
import { ensureRunnerLayer, type RunnerLayer } from '../../runner-layer/runner-layer.ts';
import { createTemplates, type Templates } from '../../templates/template.ts';
import { chooseAccelerator, type Accelerator } from './accelerator.ts';
import { openLayers, type Layers } from './disk.ts';
import type { MachineFiles } from './machine.ts';
import { openSeeds, type Seeds } from './seeds.ts';

export const qemuProgram = 'qemu-system-x86_64';
/** The first of the host users that machines run as: beyond those of accounts, containers and systemd. */
export const firstUid = 1_900_000_000;
export const uidCount = 2 ** 24;

export interface InstallationOptions {
  /** Berth's own; this driver's things are in a directory of it. */
  dataDir: string;
  agentsDir: string;
  placeBundle: PlaceBundle;
}

export interface Installation {
  id: string;
  sandboxesDir: string;
  snapshotsDir: string;
  runDir: string;
  files: MachineFiles;
  qemu: string;
  accelerator: Accelerator;
  kernel: GuestKernel;
  images: Images;
  agents: AgentsImage;
  layers: Layers;
  seeds: Seeds;
  templates: Templates;
  control: ControlLines;
  layer(): Promise<RunnerLayer>;
  release(): Promise<void>;
}

export function driverDirectory(dataDir: string): string {
  return join(dataDir, 'qemu');
}

/** What a machine's sockets are below, short and gone after a reboot, as the machines are. */
export function machineRunDir(installation: string): string {
  return join('/run/berth-qemu', installation);
}

/** Takes the lock and finds what machines need. Leaves nothing held when it throws. */
export async function openInstallation(options: InstallationOptions): Promise<Installation> {
  const directory = driverDirectory(options.dataDir);
  // It would end an option of QEMU's.
  if (/[,\s]/.test(directory)) {
    throw new BerthError('invalid_request', `the data directory's path must not contain a comma or spaces: ${directory}`);
  }
  await mkdir(directory, { recursive: true, mode: 0o711 });
  const id = await installationId(directory);
  const lock = await lockInstallation(directory, id);
  try {
    return await open(options, directory, id, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function open(
  options: InstallationOptions,
  directory: string,
  id: string,
  lock: InstanceLock,
): Promise<Installation> {
  const qemu = await findProgram(qemuProgram);
  if (qemu === null || (await findProgram('qemu-img')) === null) {
    throw new BerthError('unavailable', 'QEMU is not installed (apt-get install qemu-system-x86 qemu-utils)');
  }
  const kernel = await placeKernel(join(directory, 'kernels'), await fetchGuestKernel(), 'bzImage');
  const accelerator = await chooseAccelerator(qemu, kernel);
  const runDir = machineRunDir(id);
  const files = { directory, alias: join(runDir, 'data') };
  await mkdir(files.alias, { recursive: true });
  for (const path of ['/run/berth-qemu', runDir, directory]) await chmod(path, 0o711);
  const [sandboxesDir, snapshotsDir] = [join(directory, 'sandboxes'), join(directory, 'snapshots')];
  await mkdir(sandboxesDir, { recursive: true, mode: 0o711 });
  await mkdir(snapshotsDir, { recursive: true, mode: 0o700 });
  const images = openImages(join(directory, 'images'));
  const agents = await openAgentsImage(join(directory, 'images/agents.img'), options.agentsDir);
  const qemuVersion = (await mustRun(qemu, ['--version'])).split('\n')[0]!;
  const seeds = await openSeeds({
    directory: join(directory, 'seeds'),
    runDir,
    files,
    installation: id,
    uid: firstUid + (Number.parseInt(id.slice(0, 6), 16) % uidCount),
    qemu,
    qemuVersion,
    accelerator,
    agentsImage: agents.path,
    blank: (sizeBytes, signal) => images.blank(sizeBytes, signal),
  });
  const control = createControlLines();
  let layer: Promise<RunnerLayer> | null = null;
  return {
    id,
    sandboxesDir,
    snapshotsDir,
    runDir,
    files,
    qemu,
    accelerator,
    kernel,
    images,
    agents,
    layers: await openLayers(join(directory, 'layers')),
    seeds,
    templates: createTemplates(join(options.dataDir, 'templates')),
    layer() {
      layer ??= ensureRunnerLayer(join(directory, 'runner'), options.placeBundle).catch((error: unknown) => {
        layer = null;
        throw error;
      });
      return layer;
    },
    control,
    async release() {
      control.close();
      await seeds.close();
      await images.idle();
      await agents.close();
      await lock.release();
    },
  };
}
