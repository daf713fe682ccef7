import { frameType, type FrameType } from '../../protocol/frames.ts';

/** What a page costs beside its bytes, so that a flood of tiny alternating writes is bounded too. */
const pageOverheadBytes = 192;
const smallestPageBytes = 256;
const largestPageBytes = 64 * 1024;

interface Page {
  type: FrameType;
  /** Offset of its first byte in the process's output. */
  start: number;
  buffer: Buffer;
  used: number;
}

export interface Piece {
  type: FrameType;
  bytes: Buffer;
}

/**
 * The last part of a process's output, stdout and stderr in the order they were read, at one common byte
 * offset. Holds at most `maxBytes` of memory, its own bookkeeping included.
 */
export class OutputTail {
  readonly #maxBytes: number;
  #pages: Page[] = [];
  #costBytes = 0;
  #end = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes written so far: the offset of the next one. */
  get end(): number {
    return this.#end;
  }

  /** Offset of the oldest byte that is still there. */
  get start(): number {
    return this.#pages[0]?.start ?? this.#end;
  }

  get costBytes(): number {
    return this.#costBytes;
  }

  append(type: typeof frameType.stdout | typeof frameType.stderr, chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      const page = this.#pageFor(type, rest.length);
      const taken = Math.min(rest.length, page.buffer.length - page.used);
      rest.copy(page.buffer, page.used, 0, taken);
      page.used += taken;
      this.#end += taken;
      rest = rest.subarray(taken);
    }
    this.#trim();
  }

  /** What is kept from offset `from` on, copied. */
  from(from: number): Piece[] {
    const pieces: Piece[] = [];
    for (const page of this.#pages) {
      const skip = Math.max(0, from - page.start);
      if (skip < page.used) pieces.push({ type: page.type, bytes: Buffer.from(page.buffer.subarray(skip, page.used)) });
    }
    return pieces;
  }

  clear(): void {
    this.#pages = [];
    this.#costBytes = 0;
  }

  #pageFor(type: FrameType, wanted: number): Page {
    const last = this.#pages.at(-1);
    if (last?.type === type) {
      if (last.used < last.buffer.length) return last;
      if (last.buffer.length < largestPageBytes) return this.#grow(last, wanted);
    }
    const size = clampPage(wanted);
    const page = { type, start: this.#end, buffer: Buffer.allocUnsafeSlow(size), used: 0 };
    this.#pages.push(page);
    this.#costBytes += size + pageOverheadBytes;
    return page;
  }

  #grow(page: Page, wanted: number): Page {
    const buffer = Buffer.allocUnsafeSlow(clampPage(Math.max(page.used * 2, page.used + wanted)));
    page.buffer.copy(buffer, 0, 0, page.used);
    this.#costBytes += buffer.length - page.buffer.length;
    page.buffer = buffer;
    return page;
  }

  #trim(): void {
    let dropped = 0;
    while (this.#costBytes > this.#maxBytes && dropped < this.#pages.length - 1) {
      this.#costBytes -= this.#pages[dropped]!.buffer.length + pageOverheadBytes;
      dropped++;
    }
    if (dropped > 0) this.#pages.splice(0, dropped);
  }
}

function clampPage(size: number): number {
  return Math.min(Math.max(size, smallestPageBytes), largestPageBytes);
}
