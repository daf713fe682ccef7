import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const chunkBytes = 16 * 1024 * 1024;
/** Larger mappings are mostly reserved and empty: only their pages that are there are read. */
const sparseBytes = 64 * 1024 * 1024;
const pageBytes = 4096;

/**
 * Which of the texts a process's memory has, read from the host as a debugger would. A process that ends meanwhile
 * has what was found until then. Shared libraries and the like are read too: what is mapped is memory.
 */
export function searchMemory(pid: number, needles: readonly Buffer[]): { hits: string[]; readBytes: number } {
  const hits: string[] = [];
  let readBytes = 0;
  const overlap = Math.max(...needles.map((needle) => needle.length)) - 1;
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const buffer = Buffer.alloc(chunkBytes + overlap);
  try {
    for (const { start, end, } of residentRanges(pid)) {
      let kept = 0;
      for (let at = start; at < end; at += chunkBytes) {
        const length = Math.min(chunkBytes, end - at);
        let read = 0;
        try {
          read = readSync(memory, buffer, kept, length, at);
        } catch {
          // A guard page, or a device: nothing that can hold text.
          kept = 0;
          continue;
        }
        readBytes += read;
        const seen = buffer.subarray(0, kept + read);
        for (const needle of needles) if (seen.includes(needle)) hits.push(needle.toString());
        kept = Math.min(overlap, seen.length);
        seen.copy(buffer, 0, seen.length - kept);
      }
    }
  } finally {
    closeSync(memory);
  }
  return { hits, readBytes };
}

interface Range {
  start: number;
  end: number;
}

function residentRanges(pid: number): Range[] {
  const ranges: Range[] = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \d+ *(.*)$/.exec(line);
    if (match === null || match[3] === '[vvar]' || match[3] === '[vsyscall]') continue;
    const range = { start: Number.parseInt(match[1]!, 16), end: Number.parseInt(match[2]!, 16) };
    ranges.push(...(range.end - range.start > sparseBytes ? presentPages(pid, range) : [range]));
  }
  return ranges;
}

/** By `/proc/PID/pagemap` (Documentation/admin-guide/mm/pagemap.rst): 8 bytes a page, bit 63 present, bit 62 swapped. */
function presentPages(pid: number, { start, end, }: Range): Range[] {
  const found: Range[] = [];
  const pagemap = openSync(`/proc/${pid}/pagemap`, 'r');
  const entries = Buffer.alloc(8 * 131_072);
  try {
    for (let at = start; at < end; at += (entries.length / 8) * pageBytes) {
      const wanted = Math.min(entries.length, ((end - at) / pageBytes) * 8);
      const read = readSync(pagemap, entries, 0, wanted, (at / pageBytes) * 8);
      for (let offset = 0; offset < read; offset += 8) {
        if ((entries[offset + 7]! & 0xc0) === 0) continue;
        const page = at + (offset / 8) * pageBytes;
        const last = found.at(-1);
        if (last !== undefined && last.end === page) last.end += pageBytes;
        else found.push({ start: page, end: page + pageBytes, });
      }
    }
  } finally {
    closeSync(pagemap);
  }
  return found;
}
