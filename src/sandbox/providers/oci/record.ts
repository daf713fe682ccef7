import { z } from 'zod';
import * as recordFile from '../_shared/record-file.ts';

/**
 * What is kept of a sandbox, in a directory that no sandbox sees. It is there before anything else of
 * the sandbox and removed after everything else, so whatever a crash leaves can be found and removed.
 */
export const sandboxRecord = z.object({
  id: z.string(),
  createdAt: z.string(),
  template: z.object({ name: z.string(), version: z.string() }),
  limits: z.object({ cpus: z.number(), memoryBytes: z.number(), pids: z.number(), diskBytes: z.number() }),
  network: z.enum(['none', 'full']),
  /** Its address while `network` is `full`; kept over hibernation, for connections have it. */
  networkSlot: z.number().int().optional(),
  labels: z.record(z.string(), z.string()),
  env: z.record(z.string(), z.string()),
  runnerToken: z.string(),
  /** The version of the runner's layer that it was last started with. */
  runnerVersion: z.string().optional(),
});
export type SandboxRecord = z.infer<typeof sandboxRecord>;

export function writeRecord(path: string, record: SandboxRecord): Promise<void> {
  return recordFile.writeRecord(path, record);
}

/** `null` when there is none, or none that can be read: such a sandbox is broken and can only be removed. */
export function readRecord(path: string): Promise<SandboxRecord | null> {
  return recordFile.readRecord(path, sandboxRecord);
}
