import { randomBytes } from 'node:crypto';
import type { ControlLines } from './control-line.ts';
import type { LineAddress } from './line.ts';

const seedBytes = 64;

/** Tells a guest that was woken the time of day, and gives it randomness that no other has. Before anything of the sandbox goes on with either. */
export async function wokenUp(lines: ControlLines, control: LineAddress, signal: AbortSignal): Promise<void> {
  const seconds = String(Math.round(Date.now() / 1000));
  await lines.tell(control, ['woken', seconds, randomBytes(seedBytes).toString('hex')], signal);
}
