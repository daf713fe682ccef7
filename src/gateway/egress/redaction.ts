import { Transform } from 'node:stream';

const mark = '*'.repeat(8);

export function redactText(text: string, needles: readonly string[]): string {
  return longestFirst(needles).reduce((clean, needle) => clean.replaceAll(needle, mark), text);
}

/**
 * Takes the needles out of a body as it streams. Only an end that may be the beginning of one is held back, so that a stream of
 * events is not delayed.
 */
export function createRedaction(needles: readonly string[]): Transform {
  // Byte for byte: the needles are ASCII, and a body may be of any encoding.
  const sought = longestFirst(needles);
  let held = '';
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const text = redactText(held + chunk.toString('latin1'), sought);
      const keep = Math.max(0, ...sought.map((needle) => overlap(text, needle)));
      held = text.slice(text.length - keep);
      done(null, Buffer.from(text.slice(0, text.length - keep), 'latin1'));
    },
    flush(done) {
      done(null, Buffer.from(held, 'latin1'));
    },
  });
}

/** How much of the end of `text` is a beginning of `needle`. */
function overlap(text: string, needle: string): number {
  for (let length = Math.min(needle.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(needle.slice(0, length))) return length;
  }
  return 0;
}

function longestFirst(needles: readonly string[]): string[] {
  return [...new Set(needles)].toSorted((one, other) => other.length - one.length);
}
