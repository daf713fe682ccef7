import { join } from 'node:path';
import type { VsockAddress } from '../../microvm/line.ts';
import { guestPorts } from '../../microvm/guest-ports.ts';
import { hashOf } from '../../microvm/images.ts';

/** Where one sandbox has its things. */
export interface SandboxPaths {
  /** Root's alone; the machine's user has links to some of its files in its jail. */
  directory: string;
  record: string;
  /** There from the first step of create to its last: a sandbox that has it was never finished. */
  creating: string;
  /** There while it is paused, with what is known of it from before. */
  paused: string;
  /** Which process its machine is. */
  process: string;
  /** What Firecracker and the jailer printed since its last start. */
  log: string;
  /** A sparse image of a file system. */
  disk: string;
  /** Its memory and the state of its devices while it hibernates; see hibernation.ts. */
  memory: string;
  state: string;
  /** The directory that the jailer has for its machine, and the root in it. */
  jail: string;
  jailRoot: string;
  /** Leads to that root. Short, for the address of a socket has 107 bytes. */
  short: string;
}

export interface Directories {
  sandboxesDir: string;
  /** What the jailer is told as its base. */
  jailsDir: string;
  /** Named by the jailer after the program. */
  programName: string;
  runDir: string;
}

/** The jailer takes letters, digits and hyphens. */
export function machineId(id: string): string {
  return `vm-${hashOf(id)}`;
}

export function sandboxPaths({ sandboxesDir, jailsDir, programName, runDir }: Directories, id: string): SandboxPaths {
  const directory = join(sandboxesDir, id);
  const jail = join(jailsDir, programName, machineId(id));
  return {
    directory,
    record: join(directory, 'sandbox.json'),
    creating: join(directory, 'creating'),
    paused: join(directory, 'paused'),
    process: join(directory, 'machine.json'),
    log: join(directory, 'log'),
    disk: join(directory, 'disk.img'),
    memory: join(directory, 'memory'),
    state: join(directory, 'state'),
    jail,
    jailRoot: join(jail, 'root'),
    short: join(runDir, machineId(id)),
  };
}

/** Files of a jail, as the machine names them. */
export const inJail = {
  api: '/api.sock',
  vsock: '/vsock.sock',
  kernel: '/kernel',
  initramfs: '/initramfs',
  root: '/root.img',
  runner: '/runner.img',
  agents: '/agents.img',
  disk: '/disk.img',
  memory: '/memory',
  state: '/state',
} as const;

export interface MachineSockets {
  api: string;
  link: VsockAddress;
  control: VsockAddress;
}

export function machineSockets(short: string): MachineSockets {
  const socket = join(short, inJail.vsock);
  return {
    api: join(short, inJail.api),
    link: { socket, port: guestPorts.link },
    control: { socket, port: guestPorts.control },
  };
}
