import { z } from 'zod';
import { machineShape } from '../../microvm/machine-shape.ts';

const limits = z.object({ cpus: z.number(), memoryBytes: z.number(), pids: z.number(), diskBytes: z.number() });

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
