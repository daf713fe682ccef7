import type { Readable, Writable } from 'node:stream';
import type { frameType } from '../../protocol/frames.ts';

export interface ExitStatus {
  exitCode: number | null;
  signal: string | null;
}

/** A process just started, by pipes or on a terminal. */
export interface Started {
  pid: number;
  outputs: readonly { type: typeof frameType.stdout | typeof frameType.stderr; stream: Readable }[];
  /** `null` when its stdin was closed at the start. */
  input: Writable | null;
  endInput(): void;
  /** Throws `unsupported` without a terminal. */
  resize(size: { cols: number; rows: number }): void;
  exited: Promise<ExitStatus>;
}
