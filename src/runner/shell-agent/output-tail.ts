/** The end of an output, in bounded memory. */
export class OutputTail {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #totalBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#totalBytes += chunk.length;
    // Joined rarely: once in `maxBytes` of output.
    if (this.#bytes > 2 * this.#maxBytes) this.#compact();
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** The last `maxBytes` as text, begun with a marker where something is missing. */
  text(maxBytes: number = this.#maxBytes): string {
    this.#compact();
    const [all = Buffer.alloc(0)] = this.#chunks;
    const kept = wholeCharacters(all.subarray(Math.max(0, all.length - maxBytes)));
    const missing = this.#totalBytes - kept.length;
    return missing > 0 ? `[... ${missing} bytes before ...]\n${kept.toString('utf8')}` : kept.toString('utf8');
  }

  #compact(): void {
    const all = Buffer.concat(this.#chunks, this.#bytes);
    const kept = all.subarray(Math.max(0, all.length - this.#maxBytes));
    this.#chunks = [kept];
    this.#bytes = kept.length;
  }
}

/** Without the rest of a UTF-8 character that the cut went through. */
function wholeCharacters(bytes: Buffer): Buffer {
  let start = 0;
  while (start < 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start);
}
