import { join } from 'node:path';

/** The machine's sockets; its user makes them. Short, for the address of a socket has 107 bytes. */
export interface MachineSockets {
  monitor: string;
  control: string;
  link: string;
  /** Over which the machine sends its memory, made for as long as that takes. */
  memory: string;
}

/** `run`: a directory of the machine's own. */
export function machineSockets(run: string): MachineSockets {
  return {
    monitor: join(run, 'monitor'),
    control: join(run, 'control'),
    link: join(run, 'link'),
    memory: join(run, 'memory'),
  };
}
