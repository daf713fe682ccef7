import { chmod, mkdir, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import { findProgram } from '../../find-program.ts';
import { installationId, lockInstallation, type InstanceLock } from '../../instance-lock.ts';
import { openAgentsImage, type AgentsImage } from '../../microvm/agents-image.ts';
import { createControlLines, type ControlLines } from '../../microvm/control-line.ts';
import { fetchGuestKernel, placeKernel, type GuestKernel } from '../../microvm/guest-kernel.ts';
import { openImages, type Images } from '../../microvm/images.ts';
import type { PlaceBundle } from '../../runner-layer/bundle.ts';
import { ensureRunnerLayer, type RunnerLayer } from '../../runner-layer/runner-layer.ts';
import { createTemplates, type Templates } from '../../templates/template.ts';
import type { Programs } from './machine.ts';
import type { Directories } from './paths.ts';

/** The first of the host users that machines run as: beyond those of accounts, containers and other drivers. */
export const firstUid = 1_920_000_000;
export const uidCount = 2 ** 24;

export interface InstallationOptions {
  /** Berth's own; this driver's things are in a directory of it. */
  dataDir: string;
  agentsDir: string;
  placeBundle: PlaceBundle;
  programs: { firecracker?: string | undefined; jailer?: string | undefined };
  /** Where the guest kernel is, or is fetched to. */
  kernelDir?: string | undefined;
}

export interface Installation extends Directories {
  id: string;
  snapshotsDir: string;
  programs: Programs;
  kernel: GuestKernel;
  images: Images;
  agents: AgentsImage;
  templates: Templates;
  control: ControlLines;
  layer(): Promise<RunnerLayer>;
  release(): Promise<void>;
}

export function driverDirectory(dataDir: string): string {
  return join(dataDir, 'firecracker');
}

/** What leads to the machines' sockets is below, short and gone after a reboot, as the machines are. */
export function machineRunDir(installation: string): string {
  return join('/run/berth-firecracker', installation);
}

/** `null` for what is not installed. The path is resolved, as the jailer does. */
export async function findPrograms(options: InstallationOptions['programs']): Promise<{ [name in keyof Programs]: string | null }> {
  const find = async (name: keyof Programs) => {
    const path = options[name] ?? (await findProgram(name));
    return path === null ? null : realpath(path).catch(() => null);
  };
  return { firecracker: await find('firecracker'), jailer: await find('jailer') };
}

/** Takes the lock and finds what machines need. Leaves nothing held when it throws. */
export async function openInstallation(options: InstallationOptions): Promise<Installation> {
  const directory = driverDirectory(options.dataDir);
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

async function open(options: InstallationOptions, directory: string, id: string, lock: InstanceLock): Promise<Installation> {
  const { firecracker, jailer } = await findPrograms(options.programs);
  if (firecracker === null || jailer === null) {
    throw new BerthError('unavailable', 'Firecracker is not installed: firecracker and jailer of one release must be on the path');
  }
  const kernel = await placeKernel(join(directory, 'kernels'), await fetchGuestKernel(options.kernelDir), 'elf');
  const runDir = machineRunDir(id);
  const [sandboxesDir, snapshotsDir, jailsDir] = ['sandboxes', 'snapshots', 'jails'].map((name) => join(directory, name)) as [string, string, string];
  for (const path of [runDir, sandboxesDir, snapshotsDir]) await mkdir(path, { recursive: true, mode: 0o700 });
  // Machines are jailed below, and their users must reach what is theirs there.
  await mkdir(jailsDir, { recursive: true, mode: 0o711 });
  for (const path of [jailsDir, directory]) await chmod(path, 0o711);
  const agents = await openAgentsImage(join(directory, 'images/agents.img'), options.agentsDir);
  const images = openImages(join(directory, 'images'));
  const control = createControlLines();
  let layer: Promise<RunnerLayer> | null = null;
  return {
    id,
    sandboxesDir,
    snapshotsDir,
    jailsDir,
    runDir,
    programName: basename(firecracker),
    programs: { firecracker, jailer },
    kernel,
    images,
    agents,
    templates: createTemplates(join(options.dataDir, 'templates')),
    control,
    layer() {
      layer ??= ensureRunnerLayer(join(directory, 'runner'), options.placeBundle).catch((error: unknown) => {
        layer = null;
        throw error;
      });
      return layer;
    },
    async release() {
      control.close();
      await images.idle();
      await agents.close();
      await lock.release();
    },
  };
}
