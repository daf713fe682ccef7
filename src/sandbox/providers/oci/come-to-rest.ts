import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../../protocol/errors.ts';
import { awaitOuterStreams, hasOuterStream } from './outer-streams.ts';
import type { SandboxParts } from './sandbox.ts';
import { hold } from './stillness.ts';

const restDeadlineMs = 10_000;
/** A process has started its program by then. */
const midwayMs = 2;

/**
 * Freezes a sandbox that nobody outside is connected to, at an instant at which it can be written. `isMidway`: whether the
 * processes, which are frozen, are in the middle of something that cannot, and must go on for a moment.
 */
export async function comeToRest(
  parts: SandboxParts,
  paused: boolean,
  isMidway: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<void> {
  await awaitOuterStreams(parts, signal);
  const deadline = performance.now() + restDeadlineMs;
  for (;;) {
    if (paused) await parts.freezer.freeze(signal);
    else await hold(parts, signal);
    if (!(await isMidway())) break;
    if (performance.now() > deadline) {
      throw new BerthError('upstream_failed', `a process of ${parts.id} has long been about to start another program`);
    }
    parts.freezer.thaw();
    await sleep(midwayMs);
  }
  // One that came in between.
  if (await hasOuterStream(parts)) throw new BerthError('conflict', `sandbox ${parts.id} is being talked to`);
}
