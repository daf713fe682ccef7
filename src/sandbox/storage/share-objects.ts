import { constants, type Dirent } from 'node:fs';
import { copyFile, link, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Git reads a pack as soon as its index is there, so the index comes last. */
const lateSuffix = '.idx';
/** Where the mirror keeps pointers to other stores, temporary files and locks: nothing for a reader. */
const skipped = /^(?:tmp_|\.|alternates$|http-alternates$)|\.(?:lock|keep)$/;

/**
 * Shows the files of a git object directory in `target` too, by hard link: no bytes are copied, and
 * what the mirror repacks away stays for those who borrowed it. Across file systems or subvolumes a
 * link is refused; then the file is cloned (reflink) or, last, copied. Repeatable; only ever adds.
 */
export async function shareObjects(source: string, target: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await mkdir(target, { recursive: true, mode: 0o755 });
  const [entries, present] = await Promise.all([readdir(source, { withFileTypes: true }), readdir(target)]);
  const have = new Set(present);
  const wanted = entries.filter((entry) => !skipped.test(entry.name) && (entry.isDirectory() || !have.has(entry.name)));
  const late = (entry: Dirent) => entry.isFile() && entry.name.endsWith(lateSuffix);
  await Promise.all(wanted.filter((entry) => !late(entry)).map((entry) => shareEntry(entry, source, target, signal)));
  await Promise.all(wanted.filter(late).map((entry) => shareEntry(entry, source, target, signal)));
}

async function shareEntry(entry: Dirent, source: string, target: string, signal: AbortSignal): Promise<void> {
  const [from, to] = [join(source, entry.name), join(target, entry.name)];
  if (entry.isDirectory()) return shareObjects(from, to, signal);
  if (!entry.isFile()) return;
  try {
    await link(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // The mirror repacked in between, or another call was first.
    if (code === 'ENOENT' || code === 'EEXIST') return;
    if (code !== 'EXDEV' && code !== 'EMLINK' && code !== 'EPERM') throw error;
    await copyBeside(from, to);
  }
}

async function copyBeside(from: string, to: string): Promise<void> {
  const beside = `${to}.copying`;
  try {
    await copyFile(from, beside, constants.COPYFILE_FICLONE);
    await rename(beside, to);
  } catch (error) {
    await rm(beside, { force: true });
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
