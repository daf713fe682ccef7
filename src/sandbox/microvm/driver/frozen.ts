import type { SandboxStatus } from '../../../core/ports/sandbox-provider.ts';
import type { ControlLines } from '../control-line.ts';
import type { SandboxParts } from './machines.ts';

const freezeMs = 20_000;

/** Runs something while the file system of a guest stands still, so that what is taken of its disk is whole. */
export async function whileFrozen<T>(
  control: ControlLines,
  { lines }: SandboxParts,
  status: SandboxStatus,
  signal: AbortSignal,
  run: () => Promise<T>,
): Promise<T> {
  if (status !== 'running') return run();
  const limit = AbortSignal.timeout(freezeMs);
  try {
    // A guest that does not hold still is copied as after a power cut.
    await control.tell(lines.control, ['freeze'], AbortSignal.any([signal, limit])).catch(() => signal.throwIfAborted());
    return await run();
  } finally {
    // Also of one that was not waited for: it is told in turn, and freezes all the same.
    await control.tell(lines.control, ['thaw'], AbortSignal.timeout(freezeMs)).catch(() => {});
  }
}
