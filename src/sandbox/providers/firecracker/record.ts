import type { MachineKind } from '../../microvm/driver/machines.ts';

export interface FirecrackerKind extends MachineKind {
  /** The path of a disk to copy. */
  origin: string;
}
