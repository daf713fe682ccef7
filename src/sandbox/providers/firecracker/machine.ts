import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { chmod, chown, link, mkdir, rm, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../../protocol/errors.ts';
import type { Card } from '../../full-network/full-network.ts';
import { cardAddress } from '../../full-network/names.ts';
import { guestSettings, type MachineShape } from '../../microvm/machine-shape.ts';
import { liveProcess, writeProcess } from '../../microvm/processes.ts';
import { hostEnv } from '../../run-command.ts';
import { tail } from '../../tail-file.ts';
import { createMachineApi, type MachineApi } from './api.ts';
import { inJail, machineId, machineSockets, type MachinePaths } from './paths.ts';
import { cardLimiters, driveLimiter, type MachineLimits } from './rate-limits.ts';

export interface Programs {
  /** Resolved: the jailer names the jail after its last part. */
  firecracker: string;
  jailer: string;
}

export interface MachineStart extends MachinePaths {
  programs: Programs;
  jailsDir: string;
  id: string;
  uid: number;
  disk: string;
  log: string;
  processFile: string;
  shape: MachineShape;
  agentsImage: string;
  /** What its network card is connected to; `null`: it has none. */
  card: Card | null;
  limits: MachineLimits;
}

/** What a file of the machine's may grow to beyond its disk and its memory. */
const spareFileBytes = 64 * 1024 ** 2;
const mebibyte = 1024 ** 2;
/** The host is 2, as everywhere. Each machine has a vsock of its own, so all guests may have the same number. */
const guestContext = 3;
/** Firecracker offers its interface in moments. */
const lookMs = 5;

/**
 * Starts a machine's process in a jail of its own, with nothing in the machine yet; resolves when it answers. It is in a session
 * of its own and goes on when Berth ends. Each start has a new jail: a memory is only ever taken in by a fresh process.
 */
export async function startMachine(start: MachineStart, signal: AbortSignal): Promise<MachineApi> {
  const { uid } = start;
  await layOutJail(start);
  await rm(start.log, { force: true });
  const log = openSync(start.log, 'a', 0o600);
  try {
    const child = spawn(start.programs.jailer, jailerArguments(start), {
      env: { ...hostEnv },
      cwd: '/',
      detached: true,
      stdio: ['ignore', log, log],
    });
    await once(child, 'spawn');
    child.unref();
    await writeProcess(start.processFile, child.pid!);
  } catch (cause) {
    throw new BerthError('upstream_failed', 'the jailer could not be started', { cause, context: { uid } });
  } finally {
    closeSync(log);
  }
  return machineUp(start, signal);
}

export function jailerArguments({ programs, jailsDir, id, uid, shape, card }: MachineStart): string[] {
  const largestFile = Math.max(shape.diskBytes, shape.memoryMib * mebibyte) + spareFileBytes;
  return [
    ...['--id', machineId(id), '--exec-file', programs.firecracker],
    ...['--uid', String(uid), '--gid', String(uid), '--chroot-base-dir', jailsDir],
    ...['--resource-limit', `fsize=${largestFile}`],
    ...(card?.namespace == null ? [] : ['--netns', card.namespace]),
    ...['--', '--api-sock', inJail.api, '--level', 'Error'],
  ];
}

/** Everything that the machine opens, linked into its root: the jailer brings only the program and the devices. */
async function layOutJail({ jail, jailRoot, short, disk, uid, shape, agentsImage }: MachineStart): Promise<void> {
  await rm(jail, { recursive: true, force: true });
  await mkdir(jailRoot, { recursive: true, mode: 0o700 });
  await chown(jailRoot, uid, uid);
  const files = {
    [inJail.kernel]: shape.kernel,
    [inJail.initramfs]: shape.initramfs,
    [inJail.root]: shape.rootImage,
    [inJail.runner]: shape.runnerImage,
    [inJail.agents]: agentsImage,
    [inJail.disk]: disk,
  };
  for (const [name, file] of Object.entries(files)) await link(file, join(jailRoot, name));
  await lend(disk, uid);
  await rm(short, { force: true });
  await symlink(jailRoot, short);
}

/** Makes a file the machine's user's own. */
export async function lend(path: string, uid: number): Promise<void> {
  await chown(path, uid, uid);
  await chmod(path, 0o600);
}

async function machineUp({ short, processFile, log }: MachineStart, signal: AbortSignal): Promise<MachineApi> {
  const { api } = machineSockets(short);
  for (;;) {
    signal.throwIfAborted();
    if (existsSync(api)) {
      const machine = createMachineApi(api, signal);
      // Between its making and its listening it refuses.
      if ((await machine.state().catch(() => null)) === 'Not started') return machine;
    }
    if ((await liveProcess(processFile)) === null) throw await whyEnded(log);
    await sleep(lookMs);
  }
}

async function whyEnded(log: string): Promise<BerthError> {
  const said = ((await tail(log)) ?? '').trim().split('\n').slice(-3).join('; ');
  return new BerthError('upstream_failed', said === '' ? 'the machine ended' : `the machine ended: ${said}`);
}

/** Gives a fresh machine its parts and boots it. */
export async function bootMachine(machine: MachineApi, { shape, card, limits }: MachineStart): Promise<void> {
  const limiter = driveLimiter(limits.drives);
  await machine.configure('/machine-config', { vcpu_count: shape.vcpus, mem_size_mib: shape.memoryMib, smt: false });
  await machine.configure('/boot-source', {
    kernel_image_path: inJail.kernel,
    initrd_path: inJail.initramfs,
    boot_args: bootArguments(shape),
  });
  for (const [id, path] of [
    ['root', inJail.root],
    ['runner', inJail.runner],
    ['agents', inJail.agents],
  ] as const) {
    await machine.configure(`/drives/${id}`, { drive_id: id, path_on_host: path, is_root_device: false, is_read_only: true, ...limiter });
  }
  await machine.configure('/drives/own', {
    drive_id: 'own',
    path_on_host: inJail.disk,
    is_root_device: false,
    is_read_only: false,
    // What the guest has synced is on the host's disk; the default drops its flushes.
    cache_type: 'Writeback',
    ...limiter,
  });
  if (card !== null) {
    await machine.configure(`/network-interfaces/${cardId}`, {
      iface_id: cardId,
      host_dev_name: card.device,
      guest_mac: cardAddress,
      ...cardLimiters(limits.card),
    });
  }
  await machine.configure('/balloon', { amount_mib: 0, deflate_on_oom: true });
  await machine.configure('/vsock', { guest_cid: guestContext, uds_path: inJail.vsock });
  await machine.configure('/actions', { action_type: 'InstanceStart' });
}

const cardId = 'card';

/** No serial line: what a guest says there would fill the host's disk. A guest that resets its keyboard controller ends its machine. */
function bootArguments(shape: MachineShape): string {
  return `quiet 8250.nr_uarts=0 reboot=k panic=-1 pci=off random.trust_cpu=on berth.off=reboot ${guestSettings(shape)}`;
}

export interface MemoryFiles {
  memory: string;
  state: string;
}

/** Writes the memory of a machine that stands still to files that are not there yet; they are not synced. Afterwards it can go on. */
export async function saveMemory(machine: MachineApi, { jailRoot, uid }: MachineStart, files: MemoryFiles): Promise<void> {
  const places = [
    [files.memory, inJail.memory],
    [files.state, inJail.state],
  ] as const;
  for (const [file, name] of places) {
    // Made here and linked there: whatever the machine's user does in its jail, this is what is kept.
    closeSync(openSync(file, 'wx', 0o600));
    await lend(file, uid);
    await rm(join(jailRoot, name), { force: true });
    await link(file, join(jailRoot, name));
  }
  try {
    await machine.configure('/snapshot/create', {
      snapshot_type: 'Full',
      snapshot_path: inJail.state,
      mem_file_path: inJail.memory,
    });
  } finally {
    for (const [, name] of places) await unlink(join(jailRoot, name)).catch(() => {});
  }
}

/** Has a fresh machine take in a memory; it then stands still. It goes on reading from the file of the memory, by whatever name. */
export async function loadMemory(machine: MachineApi, { jailRoot, uid }: MachineStart, files: MemoryFiles): Promise<void> {
  const places = [
    [files.memory, inJail.memory],
    [files.state, inJail.state],
  ] as const;
  for (const [file, name] of places) {
    await lend(file, uid);
    await link(file, join(jailRoot, name));
  }
  await machine.configure('/snapshot/load', {
    snapshot_path: inJail.state,
    mem_backend: { backend_type: 'File', backend_path: inJail.memory },
    resume_vm: false,
  });
  for (const [, name] of places) await unlink(join(jailRoot, name));
}
