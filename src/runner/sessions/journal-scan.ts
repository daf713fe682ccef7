import { readSync } from 'node:fs';
import { parseLine, readLineHeader, type LineHeader } from './journal-line.ts';
import type { SeqIndex } from './seq-index.ts';

/** Called for every whole line, in order; `line` is only valid during the call. */
export type LineVisitor = (header: LineHeader, line: Buffer, offset: number) => void;

export interface ScanResult {
  lastSeq: number;
  /** End of the last whole line. */
  endOffset: number;
  /** Bytes after it that are not a whole event: a write torn by a crash. */
  tornBytes: number;
}

const chunkBytes = 256 * 1024;

/**
 * Reads a journal from its beginning. Stops at the first line that is not an event with a `seq`
 * above the one before: after a crash of the machine a file may end in anything.
 */
export function scanJournal(fd: number, sizeBytes: number, index: SeqIndex, visit: LineVisitor): ScanResult {
  let lastSeq = 0;
  let endOffset = 0;
  for (const { line, offset } of readLines(fd, 0, sizeBytes)) {
    const header = readLineHeader(line);
    const last = offset + line.length + 1 === sizeBytes;
    if (header === null || header.seq <= lastSeq || (last && parseLine(line) === null)) break;
    index.add(header.seq, offset);
    visit(header, line, offset);
    lastSeq = header.seq;
    endOffset = offset + line.length + 1;
  }
  return { lastSeq, endOffset, tornBytes: sizeBytes - endOffset };
}

/** The whole lines between two offsets, without their newline. A line is only valid until the next. */
export function* readLines(fd: number, start: number, end: number): Generator<{ line: Buffer; offset: number }> {
  let rest = Buffer.alloc(0);
  let position = start;
  while (position < end) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end - position));
    const length = readSync(fd, chunk, 0, chunk.length, position);
    if (length === 0) return;
    let offset = position - rest.length;
    position += length;
    const buffer = rest.length === 0 ? chunk.subarray(0, length) : Buffer.concat([rest, chunk.subarray(0, length)]);
    let from = 0;
    for (let newline = buffer.indexOf(10); newline !== -1; newline = buffer.indexOf(10, from)) {
      yield { line: buffer.subarray(from, newline), offset };
      offset += newline + 1 - from;
      from = newline + 1;
    }
    rest = buffer.subarray(from);
  }
}
