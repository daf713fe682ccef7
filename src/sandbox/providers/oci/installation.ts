import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import { openFullNetwork, type FullNetwork } from '../../full-network/full-network.ts';
import type { FullNetworkSettings } from '../../full-network/host-check.ts';
import { findCriu, type Criu } from '../../criu/criu.ts';
import { canCheckpoint } from '../../gvisor/can-checkpoint.ts';
import { detectCgroups, type CgroupLayout } from '../../host/cgroups.ts';
import { maxOpenFiles } from '../../host/limits.ts';
import { chooseRuntime, type FoundRuntime, type RuntimeName } from '../../host/runtimes.ts';
import { installationCgroup, runtimeStateDir } from '../../installation-paths.ts';
import { installationId, lockInstallation, type InstanceLock } from '../../instance-lock.ts';
import type { PlaceBundle } from '../../runner-layer/bundle.ts';
import { ensureRunnerLayer, type RunnerLayer } from '../../runner-layer/runner-layer.ts';
import { openDiskCopies, type DiskCopies } from '../../storage/disk-copies.ts';
import type { RoomSettings } from '../../storage/image-room.ts';
import { openStorage, type Storage, type StorageChoice } from '../../storage/storage.ts';
import { createTemplates, type Templates } from '../../templates/template.ts';
import { checkDataDir } from '../_shared/spec-check.ts';
import { createCriuCheckpointer } from './criu-checkpointer.ts';
import type { Checkpointer } from './checkpointer.ts';
import { createGvisorCheckpointer } from './gvisor-checkpointer.ts';
import { createRuntimeCli, type RuntimeCli } from './runtime-cli.ts';

export interface InstallationOptions {
  dataDir: string;
  /** Shown at `guestAgentsPath`; filled by the agent installer while sandboxes run. */
  agentsDir: string;
  runtime: RuntimeName | null;
  storage: StorageChoice;
  /** How much an image for the disks keeps free. */
  room: RoomSettings;
  placeBundle: PlaceBundle;
  /** `null`: no sandbox has a network of its own. */
  fullNetwork: FullNetworkSettings | null;
}

/** One data directory, opened and locked by this process. */
export interface Installation {
  id: string;
  sandboxesDir: string;
  /** Memory images of hibernated sandboxes. On the disks' file system, so that one sync covers both. */
  imagesDir: string;
  snapshotsDir: string;
  agentsDir: string;
  storage: Storage;
  /** `null`: this storage cannot. */
  copies: DiskCopies | null;
  /** `null`: processes cannot be written to disk here. */
  checkpointer: Checkpointer | null;
  /** `null`: off, or this machine cannot. */
  network: FullNetwork | null;
  templates: Templates;
  runtime: RuntimeCli;
  cgroups: CgroupLayout;
  cgroupPath(sandboxId: string): string;
  maxOpenFiles: number;
  /** Built when the first sandbox is made or started, and again after a failure. */
  layer(): Promise<RunnerLayer>;
  /** Work that nobody waits for and that may fail, but not outlive this. */
  background(work: Promise<void>): void;
  release(): Promise<void>;
}

/** Takes the lock, brings the storage up and chooses the runtime. Leaves nothing held when it throws. */
export async function openInstallation(options: InstallationOptions): Promise<Installation> {
  const { dataDir } = options;
  checkDataDir(dataDir);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const id = await installationId(dataDir);
  const lock = await lockInstallation(dataDir, id);
  try {
    return await open(options, id, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function open(options: InstallationOptions, id: string, lock: InstanceLock): Promise<Installation> {
  const cgroups = await detectCgroups();
  const [{ chosen, reason }, storage, files, { criu }] = await Promise.all([
    chooseRuntime(cgroups.mode, options.runtime),
    openStorage(options.dataDir, options.storage, options.room),
    maxOpenFiles(),
    findCriu(),
  ]);
  try {
    if (chosen === null) throw new BerthError('unavailable', `no OCI runtime can be used: ${reason}`);
    return await assemble(options, { id, lock, cgroups, chosen, storage, maxOpenFiles: files, criu });
  } catch (error) {
    await storage.close();
    throw error;
  }
}

interface Found extends Pick<Installation, 'id' | 'cgroups' | 'storage' | 'maxOpenFiles'> {
  lock: InstanceLock;
  chosen: FoundRuntime;
  criu: Criu | null;
}

async function assemble(options: InstallationOptions, { id, lock, cgroups, chosen, storage, maxOpenFiles: files, criu }: Found): Promise<Installation> {
  const copies = await openDiskCopies(storage);
  const imagesDir = join(storage.root, 'images');
  const stateDir = runtimeStateDir(id);
  const runtime = createRuntimeCli(chosen, stateDir);
  const checkpointer = chooseCheckpointer(chosen, runtime, criu);
  const sandboxesDir = join(options.dataDir, 'sandboxes');
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await mkdir(sandboxesDir, { recursive: true, mode: 0o700 });
  await mkdir(imagesDir, { recursive: true, mode: 0o700 });
  if (!existsSync(options.agentsDir)) await mkdir(options.agentsDir, { recursive: true, mode: 0o755 });
  const network = await openFullNetwork({
    installation: id,
    stateFile: join(options.dataDir, 'full-network.json'),
    // gVisor has a network stack of its own, which knows of none of this.
    settings: chosen.name === 'runsc' ? null : options.fullNetwork,
    connection: 'pair',
    sandboxIds: await readdir(sandboxesDir),
  });
  let layer: Promise<RunnerLayer> | null = null;
  const running = new Set<Promise<void>>();
  return {
    id,
    sandboxesDir,
    imagesDir,
    snapshotsDir: join(storage.root, 'snapshots'),
    agentsDir: options.agentsDir,
    storage,
    copies,
    checkpointer,
    network,
    templates: createTemplates(join(options.dataDir, 'templates')),
    runtime,
    cgroups,
    cgroupPath: (sandboxId) => `${installationCgroup(id)}/${sandboxId}`,
    maxOpenFiles: files,
    layer() {
      layer ??= ensureRunnerLayer(join(options.dataDir, 'runner'), options.placeBundle).catch((error: unknown) => {
        layer = null;
        throw error;
      });
      return layer;
    },
    background(work) {
      const settled: Promise<void> = work.then(
        () => void running.delete(settled),
        () => void running.delete(settled),
      );
      running.add(settled);
    },
    async release() {
      await Promise.all(running);
      await storage.close();
      await lock.release();
    },
  };
}

function chooseCheckpointer(chosen: FoundRuntime, runtime: RuntimeCli, criu: Criu | null): Checkpointer | null {
  if (chosen.name === 'runsc') {
    return canCheckpoint(chosen.version) ? createGvisorCheckpointer(chosen.version, runtime) : null;
  }
  // crun takes libcriu in place of the program, and what it was built with.
  return criu !== null && chosen.name === 'runc' ? createCriuCheckpointer(criu, runtime) : null;
}
