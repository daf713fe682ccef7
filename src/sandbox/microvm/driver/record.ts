import { z } from 'zod';
import { machineShape } from '../machine-shape.ts';

const template = z.object({ name: z.string(), version: z.string() });

/** What every kind of machine keeps of a sandbox: there before anything else of it, and removed after everything else. */
export const sandboxRecord = z.object({
  id: z.string(),
  createdAt: z.string(),
  template,
  limits: z.object({ cpus: z.number(), memoryBytes: z.number(), pids: z.number(), diskBytes: z.number() }),
  labels: z.record(z.string(), z.string()),
  env: z.record(z.string(), z.string()),
  runnerToken: z.string(),
  runnerVersion: z.string(),
  /** The host user that its machine runs as; no other machine has it. */
  uid: z.number(),
  shape: machineShape,
  network: z.enum(['none', 'full']).default('none'),
  /** Its address while `network` is `full`; kept over hibernation, for connections have it. */
  networkSlot: z.number().int().optional(),
});
export type SandboxRecord = z.infer<typeof sandboxRecord>;

export const snapshotRecord = z.object({
  id: z.string(),
  sandboxId: z.string(),
  template,
  createdAt: z.string(),
  diskBytes: z.number(),
});
export type SnapshotRecord = z.infer<typeof snapshotRecord>;
