import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { newId } from '../../protocol/ids.ts';

/** What is kept beside the journal's lines. */
export interface JournalHeadFile {
  journalId: string;
  /** The boot in which the journal was last opened; `null` where the kernel does not tell. */
  bootId: string | null;
}

/** Reads the head of a journal, or makes it with a new id. A damaged head is made anew, under a new id. */
export function readHead(directory: string): JournalHeadFile {
  const path = join(directory, 'head.json');
  if (existsSync(path)) {
    const head = parseHead(readFileSync(path, 'utf8'));
    if (head !== null) return head;
  }
  const head = { journalId: newId('journal'), bootId: currentBootId() };
  writeHead(directory, head);
  return head;
}

export function writeHead(directory: string, head: JournalHeadFile): void {
  writeFileDurably(join(directory, 'head.json'), JSON.stringify(head));
}

/** Identifies this run of the kernel, or `null` where it cannot be read. */
export function currentBootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return null;
  }
}

/** Writes beside, syncs, renames, and syncs the directory. */
export function writeFileDurably(path: string, content: string): void {
  const temporary = `${path}.new`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeSync(fd, content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  syncDirectory(dirname(path));
}

export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function parseHead(text: string): JournalHeadFile | null {
  try {
    const { journalId, bootId } = JSON.parse(text) as Record<string, unknown>;
    if (typeof journalId !== 'string') return null;
    return { journalId, bootId: typeof bootId === 'string' ? bootId : null };
  } catch {
    return null;
  }
}
