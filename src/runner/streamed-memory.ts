import { collectGarbage } from './collect-garbage.ts';

/** The price of a minor collection is under a millisecond, small against the copying of so many bytes. */
const collectEveryBytes = 8 * 1024 * 1024;

let uncollected = 0;

/**
 * To be told of bytes that pass through. Every chunk is a buffer of its own outside V8's heap, of which V8 lets 64 MB
 * pile up before it collects; a sandbox has better uses for that.
 */
export function countStreamed(bytes: number): void {
  uncollected += bytes;
  if (uncollected < collectEveryBytes) return;
  uncollected = 0;
  collectGarbage('minor');
}
