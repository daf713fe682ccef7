import { join } from 'node:path';

/** Where one sandbox has its things outside its disk. */
export interface SandboxPaths {
  /** The runtime's bundle, and the record. */
  directory: string;
  record: string;
  /** There from the first step of create to its last: a sandbox that has it was never finished. */
  creating: string;
  /** There while a sandbox that was not paused is frozen for a moment; see `stillness.ts`. */
  held: string;
  config: string;
  /** What CRIU is told beyond what the runtime tells it. Written before each checkpoint and restore. */
  criuConfig: string;
  rootfs: string;
}

/** Where a sandbox's disk has what. Everything in it counts towards the disk limit. */
export interface DiskPaths {
  upper: string;
  work: string;
  home: string;
  /** The runner's socket; writable by the sandbox, so nothing in it may be trusted or followed. */
  run: string;
  log: string;
}

export function sandboxPaths(sandboxesDir: string, id: string): SandboxPaths {
  const directory = join(sandboxesDir, id);
  return {
    directory,
    record: join(directory, 'sandbox.json'),
    creating: join(directory, 'creating'),
    held: join(directory, 'held'),
    config: join(directory, 'config.json'),
    criuConfig: join(directory, 'criu.conf'),
    rootfs: join(directory, 'rootfs'),
  };
}

export function diskPaths(disk: string): DiskPaths {
  return {
    upper: join(disk, 'upper'),
    work: join(disk, 'work'),
    home: join(disk, 'home'),
    run: join(disk, 'run'),
    log: join(disk, 'log'),
  };
}
