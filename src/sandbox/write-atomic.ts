import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncDirectory } from './sync-directory.ts';

/**
 * Writes a file so that after a crash at any instant, of the process or of the machine, either the
 * old content or the new is there: written beside, synced, renamed, directory synced.
 */
export async function writeAtomic(path: string, content: string, mode: number): Promise<void> {
  const directory = dirname(path);
  const beside = join(directory, `.${basename(path)}.${process.pid}`);
  try {
    const file = await open(beside, 'w', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await syncDirectory(directory);
}
