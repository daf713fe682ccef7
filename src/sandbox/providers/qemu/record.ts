import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeAtomic } from '../../write-atomic.ts';

const limits = z.object({ cpus: z.number(), memoryBytes: z.number(), pids: z.number(), diskBytes: z.number() });

/** What a machine is made of; see `machine-shape.ts`. Kept, so that a sandbox's memory always meets the machine that it is of. */
export const machineShape = z.object({
  kernel: z.string(),
  initramfs: z.string(),
  rootImage: z.string(),
  runnerImage: z.string(),
  vcpus: z.number(),
  memoryMib: z.number(),
  diskBytes: z.number(),
});
export type MachineShape = z.infer<typeof machineShape>;

/** As the oci driver's: there before anything else of the sandbox, and removed after everything else. */
export const sandboxRecord = z.object({
  id: z.string(),
  createdAt: z.string(),
  template: z.object({ name: z.string(), version: z.string() }),
  limits,
  labels: z.record(z.string(), z.string()),
  env: z.record(z.string(), z.string()),
  runnerToken: z.string(),
  runnerVersion: z.string(),
  /** The host user that its machine runs as; no other machine has it. */
  uid: z.number(),
  /** The name of the file that is written, in the sandbox's directory. */
  disk: z.string(),
  /** Names of the files that it is based on, topmost first. */
  layers: z.array(z.string()),
  shape: machineShape,
});
export type SandboxRecord = z.infer<typeof sandboxRecord>;

export const snapshotRecord = z.object({
  id: z.string(),
  sandboxId: z.string(),
  template: z.object({ name: z.string(), version: z.string() }),
  createdAt: z.string(),
  diskBytes: z.number(),
  layers: z.array(z.string()),
});
export type SnapshotRecord = z.infer<typeof snapshotRecord>;

export async function writeRecord(path: string, record: SandboxRecord | SnapshotRecord): Promise<void> {
  await writeAtomic(path, `${JSON.stringify(record, null, 2)}\n`, 0o600);
}

/** `null` when there is none, or none that can be read. */
export async function readRecord<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
