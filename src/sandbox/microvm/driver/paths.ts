import { join } from 'node:path';

/** Where one sandbox has its things, whatever kind of machine it is. */
export interface SandboxPaths {
  directory: string;
  record: string;
  /** There from the first step of create to its last: a sandbox that has it was never finished. */
  creating: string;
  /** There while it is paused, with what is known of it from before. */
  paused: string;
  /** Which process its machine is. */
  process: string;
  /** What the machine's programs printed since its last start. */
  log: string;
  /** Its memory while it hibernates; see hibernation.ts for what is beside it. */
  memory: string;
}

export function sandboxPaths(sandboxesDir: string, id: string): SandboxPaths {
  const directory = join(sandboxesDir, id);
  return {
    directory,
    record: join(directory, 'sandbox.json'),
    creating: join(directory, 'creating'),
    paused: join(directory, 'paused'),
    process: join(directory, 'machine.json'),
    log: join(directory, 'log'),
    memory: join(directory, 'memory'),
  };
}
