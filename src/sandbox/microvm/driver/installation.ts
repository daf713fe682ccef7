import { chmod, mkdir, readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openFullNetwork, type FullNetwork } from '../../full-network/full-network.ts';
import type { FullNetworkSettings } from '../../full-network/host-check.ts';
import { installationId, lockInstallation, type InstanceLock } from '../../instance-lock.ts';
import type { PlaceBundle } from '../../runner-layer/bundle.ts';
import { ensureRunnerLayer, type RunnerLayer } from '../../runner-layer/runner-layer.ts';
import { createTemplates, type Templates } from '../../templates/template.ts';
import { openAgentsImage, type AgentsImage } from '../agents-image.ts';
import { createControlLines, type ControlLines } from '../control-line.ts';
import { fetchGuestKernel, placeKernel, type GuestKernel, type KernelForm } from '../guest-kernel.ts';
import { openImages, type Images } from '../images.ts';

export interface InstallationOptions {
  /** The driver, by whose name its directories are called. */
  name: string;
  /** Berth's own; the driver's things are in a directory of it. */
  dataDir: string;
  agentsDir: string;
  placeBundle: PlaceBundle;
  /** Where the guest kernel is, or is fetched to. Default: Berth's own. */
  kernelDir?: string | undefined;
  kernelForm: KernelForm;
  /** `null`: no sandbox has a network of its own. */
  fullNetwork: FullNetworkSettings | null;
}

export interface Installation {
  id: string;
  name: string;
  directory: string;
  sandboxesDir: string;
  snapshotsDir: string;
  runDir: string;
  kernel: GuestKernel;
  images: Images;
  agents: AgentsImage;
  templates: Templates;
  control: ControlLines;
  /** `null`: off, or this machine cannot. */
  network: FullNetwork | null;
  layer(): Promise<RunnerLayer>;
  release(): Promise<void>;
}

export function driverDirectory(dataDir: string, name: string): string {
  return join(dataDir, name);
}

/** What leads to machines' sockets is below, short and gone after a reboot, as the machines are. */
export function machineRunDir(name: string, installation: string): string {
  return join(`/run/berth-${name}`, installation);
}

/** Removes a directory in which machines that go on have nothing. */
async function removeEmpty(path: string): Promise<void> {
  await rmdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') throw error;
  });
}

/**
 * Takes the lock and opens what every kind of machine needs; `extend` opens what a kind needs beyond. Leaves nothing held when
 * it throws. Directories are root's alone but for the driver's own, which machines' users go through.
 */
export async function openInstallation<T>(options: InstallationOptions, extend: (installation: Installation) => Promise<T>): Promise<T> {
  const directory = driverDirectory(options.dataDir, options.name);
  await mkdir(directory, { recursive: true, mode: 0o711 });
  await chmod(directory, 0o711);
  const id = await installationId(directory);
  const lock = await lockInstallation(directory, id);
  try {
    return await extend(await open(options, directory, id, lock));
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function open(options: InstallationOptions, directory: string, id: string, lock: InstanceLock): Promise<Installation> {
  const kernel = await placeKernel(join(directory, 'kernels'), await fetchGuestKernel(options.kernelDir), options.kernelForm);
  const runDir = machineRunDir(options.name, id);
  const [sandboxesDir, snapshotsDir] = [join(directory, 'sandboxes'), join(directory, 'snapshots')];
  for (const path of [runDir, sandboxesDir, snapshotsDir]) await mkdir(path, { recursive: true, mode: 0o700 });
  const images = openImages(join(directory, 'images'));
  const agents = await openAgentsImage(join(directory, 'images/agents.img'), options.agentsDir);
  const network = await openFullNetwork({
    installation: id,
    stateFile: join(directory, 'full-network.json'),
    settings: options.fullNetwork,
    connection: 'card',
    sandboxIds: await readdir(sandboxesDir),
  });
  const control = createControlLines();
  let layer: Promise<RunnerLayer> | null = null;
  return {
    id,
    name: options.name,
    directory,
    sandboxesDir,
    snapshotsDir,
    runDir,
    kernel,
    images,
    agents,
    templates: createTemplates(join(options.dataDir, 'templates')),
    control,
    network,
    layer() {
      layer ??= ensureRunnerLayer(join(directory, 'runner'), options.placeBundle).catch((error: unknown) => {
        // The next call tries again.
        layer = null;
        throw error;
      });
      return layer;
    },
    async release() {
      control.close();
      await images.idle();
      await agents.close();
      await removeEmpty(runDir);
      await lock.release();
    },
  };
}
