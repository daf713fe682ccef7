import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import type { OpenDirectory } from './real-path.ts';

/** Replaces a file of an open directory: written beside, synced, renamed. A symlink there is replaced, not followed. */
export async function replaceFile(
  directory: OpenDirectory,
  name: string,
  content: string,
  mode: number,
): Promise<void> {
  const temporary = directory.viaHandle(`.berth-${randomUUID()}`);
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const handle = await open(temporary, flags, 0o600);
  try {
    await handle.writeFile(content);
    await handle.chmod(mode);
    await handle.sync();
    await rename(temporary, directory.viaHandle(name));
  } catch (error) {
    await unlink(temporary);
    throw error;
  } finally {
    await handle.close();
  }
}
