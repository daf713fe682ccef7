/**
 * Git's framing (gitprotocol-common, "pkt-line Format"): four hexadecimal digits give the length of a line, themselves
 * included; `0000` ends a list. The reader is strict and bounded, for its input is a sandbox's.
 */

/** Of one line with its length (`LARGE_PACKET_MAX`). */
export const maxLineBytes = 65_520;
const lengthBytes = 4;
export const flushPkt = Buffer.from('0000');

/** What a sandbox sent is not git's protocol; the message is for people. */
export class MalformedGit extends Error {}

export function pktLine(payload: Uint8Array | string): Buffer {
  const bytes = Buffer.from(payload);
  const length = bytes.length + lengthBytes;
  if (length > maxLineBytes) throw new RangeError('the line is too long for a pkt-line');
  return Buffer.concat([Buffer.from(length.toString(16).padStart(lengthBytes, '0')), bytes]);
}

/** Carries `bytes` on a side band: 1 the answer, 2 progress for people. */
export function sideBand(band: 1 | 2, bytes: Uint8Array): Buffer {
  const room = maxLineBytes - lengthBytes - 1;
  const lines: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += room) {
    lines.push(pktLine(Buffer.concat([Buffer.of(band), bytes.subarray(at, at + room)])));
  }
  return Buffer.concat(lines);
}

export interface PktReader {
  /** Lines up to the next flush, without their lengths. `null` when the stream ends before its first byte. */
  list(limits: { maxLines: number; maxBytes: number }): Promise<Buffer[] | null>;
  /** All that comes after. */
  rest(): AsyncGenerator<Buffer>;
}

/** Throws `MalformedGit` for what is not well-formed, is cut off, or is larger than the limits. */
export function createPktReader(source: AsyncIterable<Uint8Array>): PktReader {
  const iterator = source[Symbol.asyncIterator]();
  let buffered: Buffer = Buffer.alloc(0);

  async function pull(): Promise<boolean> {
    const next = await iterator.next();
    if (next.done === true) return false;
    buffered = buffered.length === 0 ? Buffer.from(next.value) : Buffer.concat([buffered, next.value]);
    return true;
  }

  async function take(bytes: number): Promise<Buffer> {
    while (buffered.length < bytes) {
      if (!(await pull())) throw new MalformedGit('the request ends in the middle of a line');
    }
    const taken = buffered.subarray(0, bytes);
    buffered = buffered.subarray(bytes);
    return taken;
  }

  return {
    async list({ maxLines, maxBytes }) {
      while (buffered.length === 0) if (!(await pull())) return null;
      const lines: Buffer[] = [];
      let sizeBytes = 0;
      for (;;) {
        const length = readLength(await take(lengthBytes));
        if (length === 0) return lines;
        sizeBytes += length;
        if (lines.length === maxLines || sizeBytes > maxBytes) throw new MalformedGit('the request names too much at once');
        lines.push(Buffer.from(await take(length - lengthBytes)));
      }
    },
    async *rest() {
      do {
        if (buffered.length > 0) yield buffered;
        buffered = Buffer.alloc(0);
      } while (await pull());
    },
  };
}

/** 0 for a flush. Special lines of protocol 2 and empty ones have no place in a push. */
function readLength(digits: Buffer): number {
  const text = digits.toString('latin1');
  const length = /^[0-9a-fA-F]{4}$/.test(text) ? Number.parseInt(text, 16) : -1;
  if (length === 0 || (length > lengthBytes && length <= maxLineBytes)) return length;
  throw new MalformedGit("the request is not in git's line format");
}
