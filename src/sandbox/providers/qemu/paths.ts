import { join } from 'node:path';

/** Where one sandbox has its things. */
export interface SandboxPaths {
  /** Root's alone but for its disk, which belongs to the machine's user. */
  directory: string;
  record: string;
  /** There from the first step of create to its last: a sandbox that has it was never finished. */
  creating: string;
  /** There while it is paused, with what is known of it from before. */
  paused: string;
  /** Which process its machine is. */
  process: string;
  /** What QEMU printed since its last start. */
  log: string;
  /** Its memory while it hibernates. Beside it `.new` while that is written, `.waking` until a process of it has run. */
  memory: string;
  /** The machine's sockets; the machine's user makes them. Short, for the address of a socket has 107 bytes. */
  run: string;
}

export function sandboxPaths(sandboxesDir: string, runDir: string, id: string): SandboxPaths {
  const directory = join(sandboxesDir, id);
  return {
    directory,
    record: join(directory, 'sandbox.json'),
    creating: join(directory, 'creating'),
    paused: join(directory, 'paused'),
    process: join(directory, 'machine.json'),
    log: join(directory, 'log'),
    memory: join(directory, 'memory'),
    run: join(runDir, id),
  };
}

export interface MachineSockets {
  monitor: string;
  control: string;
  link: string;
  /** Over which the machine sends its memory, made for as long as that takes. */
  memory: string;
}

export function machineSockets(run: string): MachineSockets {
  return {
    monitor: join(run, 'monitor'),
    control: join(run, 'control'),
    link: join(run, 'link'),
    memory: join(run, 'memory'),
  };
}
