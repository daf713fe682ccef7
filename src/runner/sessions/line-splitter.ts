export interface LineSplitterOptions {
  maxLineBytes: number;
  onLine(line: Buffer): void;
  /** A line was longer than allowed and is skipped whole; told once a line. */
  onOversized(): void;
}

/**
 * Cuts a byte stream into lines, holding at most one line. Unlike the SDK's own, an oversized line is
 * skipped up to its end instead of ending the connection.
 */
export class LineSplitter {
  readonly #options: LineSplitterOptions;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #skipping = false;

  constructor(options: LineSplitterOptions) {
    this.#options = options;
  }

  push(chunk: Buffer): void {
    let start = 0;
    for (let newline = chunk.indexOf(10); newline !== -1; newline = chunk.indexOf(10, start)) {
      this.#append(chunk.subarray(start, newline));
      this.#endLine();
      start = newline + 1;
    }
    if (start < chunk.length) this.#append(chunk.subarray(start));
  }

  /** The end of the stream: what is left counts as a line. */
  end(): void {
    if (this.#pendingBytes > 0) this.#endLine();
  }

  #append(part: Buffer): void {
    if (this.#skipping || part.length === 0) return;
    if (this.#pendingBytes + part.length > this.#options.maxLineBytes) {
      this.#skipping = true;
      this.#pending = [];
      this.#pendingBytes = 0;
      this.#options.onOversized();
      return;
    }
    this.#pending.push(part);
    this.#pendingBytes += part.length;
  }

  #endLine(): void {
    const [only] = this.#pending;
    const line =
      this.#pending.length === 1 && only !== undefined ? only : Buffer.concat(this.#pending, this.#pendingBytes);
    const skipped = this.#skipping;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#skipping = false;
    if (!skipped && line.length > 0) this.#options.onLine(line);
  }
}
