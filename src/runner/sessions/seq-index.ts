/** One entry in this many is kept: a journal of a million events costs 16,000 entries. */
const stride = 64;
/** An entry is kept after this much, too, so that finding an event reads little. */
const strideBytes = 1024 * 1024;

/**
 * Where in the file to begin reading for a `seq`: a sparse index, so that memory stays bounded while
 * the file grows to hundreds of megabytes.
 */
export class SeqIndex {
  readonly #seqs: number[] = [];
  readonly #offsets: number[] = [];
  #sinceLast = 0;

  /** Events are added in the order of the file. */
  add(seq: number, offset: number): void {
    const near = offset - (this.#offsets.at(-1) ?? 0) < strideBytes;
    if (this.#seqs.length > 0 && this.#sinceLast < stride && near) {
      this.#sinceLast += 1;
      return;
    }
    this.#sinceLast = 1;
    this.#seqs.push(seq);
    this.#offsets.push(offset);
  }

  /** The offset of a line at or before the first event above `seq`. */
  floor(seq: number): number {
    let low = 0;
    let high = this.#seqs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#seqs[middle] ?? 0) <= seq + 1) low = middle + 1;
      else high = middle;
    }
    return this.#offsets[low - 1] ?? 0;
  }
}
