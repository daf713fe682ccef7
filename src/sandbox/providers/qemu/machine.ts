import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { chown, mkdir, readFile, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../../protocol/errors.ts';
import { guestSettings, type MachineShape } from '../../microvm/machine-shape.ts';
import type { Card } from '../../full-network/full-network.ts';
import { cardAddress } from '../../full-network/names.ts';
import { hostEnv } from '../../run-command.ts';
import { tail } from '../../tail-file.ts';
import type { Accelerator } from './accelerator.ts';
import { machineSockets } from './paths.ts';
import { liveProcess, writeProcess } from '../../microvm/processes.ts';

/** Under one path that every machine has: its user could not get through the directories above. */
export interface MachineFiles {
  /** The directory, and where a machine sees it. */
  directory: string;
  alias: string;
}

/** What a machine calls a file of the directory. */
export function seenByMachine({ directory, alias }: MachineFiles, path: string): string {
  if (!path.startsWith(`${directory}/`)) throw new Error(`${path} is not for machines`);
  return alias + path.slice(directory.length);
}

export interface MachineStart {
  files: MachineFiles;
  /** Shown in the process list. */
  name: string;
  qemu: string;
  accelerator: Accelerator;
  shape: MachineShape;
  /** What its card is connected to, where it has one; `null`: to nothing. */
  card: Card | null;
  uid: number;
  /** Of a `qcow2` image. */
  disk: string;
  agentsImage: string;
  run: string;
  log: string;
  processFile: string;
  /** A file with the memory to go on from, in place of a boot. It is then held until it is told to go on. */
  memory: string | null;
}

const consoleBytes = 65_536;

/**
 * Starts a machine, as a user of its own that may do nothing else; resolves when QEMU runs, with its process on record. It is
 * in a session of its own and goes on when Berth ends.
 */
export async function startMachine(start: MachineStart): Promise<void> {
  await rm(start.run, { recursive: true, force: true });
  await mkdir(start.run, { recursive: true, mode: 0o700 });
  await chown(start.run, start.uid, start.uid);
  await rm(start.log, { force: true });
  const log = openSync(start.log, 'a', 0o600);
  const memory = start.memory === null ? null : openSync(start.memory, 'r');
  try {
    const { accelerator, uid } = start;
    const groups = accelerator.groups.length === 0 ? ['--clear-groups'] : ['--groups', accelerator.groups.join(',')];
    const within = start.card?.namespace ?? null;
    const [program, ...args] = [
      ...(within === null ? [] : ['nsenter', `--net=${within}`]),
      ...['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', `${start.card === null ? '' : cardDevice}${ownView}`, 'sh'],
      ...[start.files.directory, start.files.alias, 'setpriv'],
      ...['--reuid', String(uid), '--regid', String(uid), ...groups],
      ...['--inh-caps', '-all', '--bounding-set', '-all', '--no-new-privs', '--', start.qemu],
      ...machineArguments(start),
    ] as [string, ...string[]];
    const child = spawn(program, args, {
      env: { ...hostEnv },
      cwd: '/',
      detached: true,
      stdio: ['ignore', log, log, ...(memory === null ? [] : [memory])],
    });
    await once(child, 'spawn');
    child.unref();
    await writeProcess(start.processFile, child.pid!);
  } finally {
    closeSync(log);
    if (memory !== null) closeSync(memory);
  }
}

/** Its view of the host's mounts; what the host unmounts later, it does not keep. */
const ownView = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
/** Many machines keep it for root. Who opens it gets an interface that is its user's, and no other. */
const cardDevice = 'mount -t tmpfs -o mode=755,size=4k tun /dev/net && mknod -m 666 /dev/net/tun c 10 200 && ';

/** Where QEMU finds the memory that it was started with. */
const memoryDescriptor = 3;

function machineArguments(start: MachineStart): string[] {
  const { shape, accelerator } = start;
  const seen = (path: string) => seenByMachine(start.files, path);
  const sockets = machineSockets(start.run);
  const readOnly = (node: string, file: string) => [
    ...['-blockdev', json({ driver: 'file', 'node-name': `${node}-file`, filename: seen(file), 'read-only': true })],
    ...['-blockdev', json({ driver: 'raw', 'node-name': node, file: `${node}-file`, 'read-only': true })],
    ...['-device', `virtio-blk-device,drive=${node}`],
  ];
  const socket = (id: string, path: string) => ['-chardev', `socket,id=${id},path=${path},server=on,wait=off`];
  return [
    ...['-name', `${start.name},debug-threads=on`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ...['-machine', 'microvm,acpi=on,rtc=on,isa-serial=on,auto-kernel-cmdline=off'],
    ...accelerator.arguments,
    ...['-smp', String(shape.vcpus), '-m', `${shape.memoryMib}M`],
    ...['-kernel', seen(shape.kernel), '-initrd', seen(shape.initramfs), '-append', commandLine(shape, accelerator)],
    // Read when a boot fails; more than this is not kept of what a guest says there.
    ...['-chardev', `ringbuf,id=console,size=${consoleBytes}`, '-serial', 'chardev:console'],
    ...readOnly('root', shape.rootImage),
    ...readOnly('runner', shape.runnerImage),
    ...readOnly('agents', start.agentsImage),
    ...['-blockdev', json({ driver: 'file', 'node-name': 'own-file', filename: seen(start.disk) })],
    ...['-blockdev', json({ driver: 'qcow2', 'node-name': 'own', file: 'own-file' })],
    ...['-device', 'virtio-blk-device,drive=own,id=own-device'],
    ...['-device', 'virtio-serial-device,max_ports=3'],
    ...socket('link', sockets.link),
    ...['-device', 'virtserialport,chardev=link,name=berth.link,nr=1'],
    ...socket('control', sockets.control),
    ...['-device', 'virtserialport,chardev=control,name=berth.control,nr=2'],
    ...cardArguments(start),
    ...['-device', 'virtio-balloon-device,free-page-reporting=on'],
    ...socket('monitor', sockets.monitor),
    ...['-mon', 'chardev=monitor,mode=control'],
    ...(start.memory === null ? [] : ['-incoming', `fd:${memoryDescriptor}`, '-S']),
  ];
}

/** Without what a TAP device could do and nothing else can: a memory is taken in by a machine whose card is connected to nothing too. */
function cardArguments({ shape, card }: MachineStart): string[] {
  if (!shape.card) return [];
  const device = `virtio-net-device,mac=${cardAddress}`;
  if (card === null) return ['-device', device];
  return ['-netdev', `tap,id=${cardBackend},ifname=${card.device},script=no,downscript=no,vnet_hdr=off`, '-device', `${device},netdev=${cardBackend}`];
}

/** By which it is taken away from a machine that runs. */
export const cardBackend = 'card';

function commandLine(shape: MachineShape, accelerator: Accelerator): string {
  return [
    'console=ttyS0 quiet reboot=t panic=-1',
    accelerator.kernelArguments,
    guestSettings(shape),
  ]
    .filter((part) => part !== '')
    .join(' ');
}

const json = (value: object) => JSON.stringify(value);

/** What to say of a machine that ended by itself. */
export async function whyEnded(log: string): Promise<BerthError> {
  const said = ((await tail(log)) ?? '').trim().split('\n').slice(-3).join('; ');
  return new BerthError('upstream_failed', said === '' ? 'the machine ended' : `the machine ended: ${said}`);
}

/** Resolves when a machine that was started offers its sockets. Throws when it has ended instead. */
export async function machineUp(run: string, processFile: string, log: string, signal: AbortSignal): Promise<void> {
  // The last that QEMU makes before it runs.
  const { monitor } = machineSockets(run);
  for (;;) {
    signal.throwIfAborted();
    const machine = await liveProcess(processFile);
    if (machine === null) throw await whyEnded(log);
    if (existsSync(monitor) && (await listens(machine.pid, monitor))) return;
    await sleep(lookMs);
  }
}

const lookMs = 5;

/** A socket has its name before it listens, and refuses in between. Looked up where the process is: it may have a network of its own. */
async function listens(pid: number, path: string): Promise<boolean> {
  const sockets = await readFile(`/proc/${pid}/net/unix`, 'utf8').catch(() => '');
  return sockets.split('\n').some((line) => line.endsWith(` ${path}`) && line.split(/\s+/)[3] === acceptsConnections);
}

/** `__SO_ACCEPTCON` of the kernel's `include/uapi/linux/net.h`. */
const acceptsConnections = '00010000';
