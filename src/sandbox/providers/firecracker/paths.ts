import { join } from 'node:path';
import { guestPorts } from '../../microvm/guest-ports.ts';
import { hashOf } from '../../microvm/images.ts';
import type { VsockAddress } from '../../microvm/line.ts';

/** Where one machine has its things outside of its sandbox's directory. */
export interface MachinePaths {
  /** The directory that the jailer has for it, and the root in it. */
  jail: string;
  jailRoot: string;
  /** Leads to that root. Short, for the address of a socket has 107 bytes. */
  short: string;
}

export interface Directories {
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

export function machinePaths({ jailsDir, programName, runDir }: Directories, id: string): MachinePaths {
  const jail = join(jailsDir, programName, machineId(id));
  return { jail, jailRoot: join(jail, 'root'), short: join(runDir, machineId(id)) };
}

/** Of a sandbox's directory: its disk, a sparse image of a file system, and while it hibernates the state of its devices. */
export const fileNames = { disk: 'disk.img', state: 'state' } as const;

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
