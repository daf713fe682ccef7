import { z } from 'zod';
import type { MachineKind } from '../../microvm/driver/machines.ts';
import * as common from '../../microvm/driver/record.ts';

export const sandboxRecord = common.sandboxRecord.extend({
  /** The name of the file that is written, in the sandbox's directory. */
  disk: z.string(),
  /** Names of the files that it is based on, topmost first. */
  layers: z.array(z.string()),
});

export const snapshotRecord = common.snapshotRecord.extend({ layers: z.array(z.string()) });

export interface QemuKind extends MachineKind {
  record: z.infer<typeof sandboxRecord>;
  snapshot: z.infer<typeof snapshotRecord>;
  /** Layers, topmost first. */
  origin: readonly string[];
}
