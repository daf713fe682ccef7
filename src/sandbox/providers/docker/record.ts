import { join } from 'node:path';
import { z } from 'zod';
import { guestUser } from '../../../core/ports/sandbox-provider.ts';
import * as recordFile from '../_shared/record-file.ts';

/**
 * What is kept of a sandbox beside its container: what an engine cannot change on one (labels), and what nobody who may
 * look at containers should read (the token). There before the container and removed after it.
 */
export const sandboxRecord = z.object({
  id: z.string(),
  createdAt: z.string(),
  template: z.object({ name: z.string(), version: z.string() }),
  /** The image's id: of the template, or of what it was forked from. */
  image: z.string(),
  limits: z.object({ cpus: z.number(), memoryBytes: z.number(), pids: z.number(), diskBytes: z.number() }),
  labels: z.record(z.string(), z.string()),
  env: z.record(z.string(), z.string()),
  runnerToken: z.string(),
  runnerVersion: z.string(),
  /** Who its user is on this machine; see `takeOwner`. */
  owner: z.object({ uid: z.number(), gid: z.number() }).default({ uid: guestUser.uid, gid: guestUser.gid }),
});
export type SandboxRecord = z.infer<typeof sandboxRecord>;

export interface SandboxPaths {
  directory: string;
  record: string;
  /** There from the first step of making it to the last. */
  creating: string;
  /** There while one that was not paused is frozen for a copy. */
  held: string;
  /** Shared with the sandbox: the runner's socket. */
  run: string;
}

export function sandboxPaths(sandboxesDir: string, id: string): SandboxPaths {
  const directory = join(sandboxesDir, id);
  return {
    directory,
    record: join(directory, 'sandbox.json'),
    creating: join(directory, 'creating'),
    held: join(directory, 'held'),
    run: join(directory, 'run'),
  };
}

export function writeRecord(path: string, record: SandboxRecord): Promise<void> {
  return recordFile.writeRecord(path, record);
}

/** `null` when there is none that can be read: such a sandbox can only be removed. */
export function readRecord(path: string): Promise<SandboxRecord | null> {
  return recordFile.readRecord(path, sandboxRecord);
}
