import { close, fdatasync, ftruncateSync, fstatSync, mkdirSync, openSync, read, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BerthError } from '../../protocol/errors.ts';
import type { JournalEventData } from '../../protocol/events.ts';
import { maxJournalGap } from '../../protocol/runner-api.ts';
import { errnoOf } from '../errno.ts';
import { after, type Clock } from './clock.ts';
import { currentBootId, readHead, syncDirectory, writeHead } from './journal-head.ts';
import { formatLine, readLineHeader } from './journal-line.ts';
import { readLines, scanJournal, type LineVisitor } from './journal-scan.ts';
import { SeqIndex } from './seq-index.ts';

const fdatasyncAsync = promisify(fdatasync);
const readAsync = promisify(read);
const closeAsync = promisify(close);

/** Plain events reach the disk at the latest after this long. */
const syncDelayMs = 1000;
/**
 * After a crash of the machine events that were already served may be gone from the file. Numbering
 * goes on this far ahead, more than can be written between two syncs, so that no `seq` is used twice.
 */
const crashGap = maxJournalGap;
const readChunkBytes = 256 * 1024;

/**
 * The append-only journal of one session: `<directory>/journal.jsonl`, one event a line, beside a
 * head with the journal's id.
 *
 * Every event is written before `append` returns, so that it survives the death of this process.
 * *Durable* events (turn boundaries, permissions, the conversation's id) survive the death of the machine
 * too: `sync` waits for the disk, and until it has answered neither they nor anything after them is
 * visible to readers. Readers see bytes of the file up to `visibleEnd`, never a queue in memory.
 */
export class Journal {
  readonly journalId: string;
  /** Bytes cut from the end at opening, where a crash tore a write. */
  readonly tornBytes: number;
  readonly #fd: number;
  readonly #clock: Clock;
  readonly #index = new SeqIndex();
  #lastSeq: number;
  /** What the next number follows; above `#lastSeq` after a crash of the machine. */
  #numberedTo: number;
  #end: number;
  #syncedEnd: number;
  /** Durable events that the disk has not confirmed, in order, each with the `seq` before it. */
  #unconfirmed: { offset: number; previousSeq: number }[] = [];
  #syncing: Promise<void> | null = null;
  #cancelDelayedSync: (() => void) | null = null;
  readonly #waiters = new Set<() => void>();
  #closed = false;
  /** A refused event may have left its beginning behind `#end`. A full disk can refuse to cut it off, so that is done before the next. */
  #torn = false;

  /** Opens or makes the journal in `directory`; `visit` is shown every event that it holds. Throws `resource_exhausted`. */
  constructor(directory: string, clock: Clock, visit: LineVisitor = () => undefined) {
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const head = readHead(directory);
      this.journalId = head.journalId;
      this.#clock = clock;
      this.#fd = openSync(join(directory, 'journal.jsonl'), 'a+', 0o600);
      const sizeBytes = fstatSync(this.#fd).size;
      const scan = scanJournal(this.#fd, sizeBytes, this.#index, visit);
      if (scan.tornBytes > 0) ftruncateSync(this.#fd, scan.endOffset);
      this.tornBytes = scan.tornBytes;
      this.#lastSeq = scan.lastSeq;
      this.#end = scan.endOffset;
      this.#syncedEnd = scan.endOffset;
      const bootId = currentBootId();
      const rebooted = head.bootId !== bootId;
      this.#numberedTo = scan.lastSeq + (rebooted && sizeBytes > 0 ? crashGap : 0);
      if (rebooted) writeHead(directory, { ...head, bootId });
      syncDirectory(directory);
    } catch (cause) {
      throw journalFailure(cause);
    }
  }

  /** The last event that readers may see. */
  get lastSeq(): number {
    return this.#unconfirmed[0]?.previousSeq ?? this.#lastSeq;
  }

  /** The end of what readers may see: durable events, and all after them, only once they are on the disk. */
  get visibleEnd(): number {
    return this.#unconfirmed[0]?.offset ?? this.#end;
  }

  /**
   * Writes one event and returns its `seq`. A durable one is confirmed by `sync`.
   * Throws `resource_exhausted` when the disk refuses; what was written of the event then is seen by nobody.
   */
  append(turnId: string | null, event: JournalEventData, options: { durable: boolean }): number {
    if (this.#closed) throw new BerthError('unavailable', 'the journal is closed');
    const seq = this.#numberedTo + 1;
    const bytes = Buffer.from(formatLine(seq, this.#clock.now(), turnId, event));
    const offset = this.#end;
    if (this.#torn) this.#mend();
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.#fd, bytes, written);
    } catch (cause) {
      this.#torn = written > 0;
      throw journalFailure(cause);
    }
    const previousSeq = this.#lastSeq;
    this.#numberedTo = seq;
    this.#lastSeq = seq;
    this.#end += bytes.length;
    this.#index.add(seq, offset);
    if (options.durable) this.#unconfirmed.push({ offset, previousSeq });
    else this.#syncLater();
    this.#wake();
    return seq;
  }

  /** Resolves when everything appended before the call is on the disk. Concurrent calls share one flush. */
  async sync(): Promise<void> {
    const target = this.#end;
    while (this.#syncedEnd < target) {
      this.#syncing ??= this.#flush().finally(() => {
        this.#syncing = null;
      });
      await this.#syncing;
    }
  }

  /** Where to begin reading for events above `seq`. */
  offsetAfter(seq: number): number {
    for (const { line, offset } of readLines(this.#fd, this.#index.floor(seq), this.visibleEnd)) {
      const header = readLineHeader(line);
      if (header !== null && header.seq > seq) return offset;
    }
    return this.visibleEnd;
  }

  /** Up to 256 KiB of the file from `offset`, within what is visible; empty when there is no more yet. */
  async read(offset: number): Promise<Buffer> {
    const length = Math.min(readChunkBytes, this.visibleEnd - offset);
    if (length <= 0 || this.#closed) return Buffer.alloc(0);
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await readAsync(this.#fd, buffer, 0, length, offset);
    return buffer.subarray(0, bytesRead);
  }

  /** Every event from `offset` on, durable or not; for work at opening, not for readers. */
  *lines(offset: number): Generator<Buffer> {
    for (const { line } of readLines(this.#fd, offset, this.#end)) yield line;
  }

  /** Resolves when more may be visible than `offset`, or when the signal fires. */
  waitBeyond(offset: number, signal: AbortSignal): Promise<void> {
    if (this.visibleEnd > offset || this.#closed || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#waiters.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiters.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Flushes and lets go of the file. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#cancelDelayedSync?.();
    await this.sync();
    this.#closed = true;
    this.#wake();
    await closeAsync(this.#fd);
  }

  #mend(): void {
    try {
      ftruncateSync(this.#fd, this.#end);
      this.#torn = false;
    } catch (cause) {
      throw journalFailure(cause);
    }
  }

  #syncLater(): void {
    this.#cancelDelayedSync ??= after(this.#clock, syncDelayMs, () => {
      this.#cancelDelayedSync = null;
      // A refusal is met again, and reported, by the next durable event.
      this.sync().catch(() => undefined);
    });
  }

  async #flush(): Promise<void> {
    const covered = this.#end;
    try {
      await fdatasyncAsync(this.#fd);
    } catch (cause) {
      throw journalFailure(cause);
    }
    this.#syncedEnd = covered;
    this.#unconfirmed = this.#unconfirmed.filter(({ offset }) => offset >= covered);
    this.#wake();
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
  }
}

function journalFailure(cause: unknown): BerthError {
  const code = errnoOf(cause) ?? 'unknown';
  return new BerthError('resource_exhausted', `the journal could not be written (${code})`, {
    cause,
    context: { code },
  });
}
