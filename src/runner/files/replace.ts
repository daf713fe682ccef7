import { closeSync, constants, fchmodSync, fsync, lstatSync, openSync, renameSync, unlinkSync, write } from 'node:fs';
import { promisify } from 'node:util';
import { BerthError } from '../../protocol/errors.ts';
import { countStreamed } from '../streamed-memory.ts';
import { child, type Located } from './locate.ts';

const writeAsync = promisify(write);
const fsyncAsync = promisify(fsync);

export interface Replacement {
  write(body: AsyncIterable<Uint8Array>): Promise<void>;
  /** Puts the written file in place, at one stroke. */
  commit(): Promise<void>;
  /** Removes what was written, unless committed. */
  [Symbol.dispose](): void;
}

/**
 * A new content for a file: written beside it, synced, renamed over it. Readers see the old or the new one whole, and
 * so does a sandbox that is killed at any instant. Keeps the old file's mode unless given one.
 * Refuses what is not a regular file, symlinks included: replacing a link would cut it silently.
 */
export function openReplacement(located: Located, mode: number | undefined): Replacement {
  const keptMode = existingMode(located);
  const finalMode = mode ?? keptMode;
  const { fd, temporary } = openTemporary(located.directory, finalMode ?? 0o666);
  let committed = false;
  return {
    async write(body) {
      for await (const chunk of body) {
        countStreamed(chunk.length);
        let offset = 0;
        while (offset < chunk.length)
          offset += (await writeAsync(fd, chunk, offset, chunk.length - offset)).bytesWritten;
      }
    },
    async commit() {
      // `open` applied the umask, which is right for a new file only.
      if (finalMode !== undefined) fchmodSync(fd, finalMode);
      await fsyncAsync(fd);
      renameSync(temporary, located.target);
      committed = true;
    },
    [Symbol.dispose]() {
      closeSync(fd);
      if (!committed) removeIfThere(temporary);
    },
  };
}

/** `undefined` for a new file. */
function existingMode(located: Located): number | undefined {
  if (located.isRoot) throw Object.assign(new Error('a root'), { code: 'EISDIR' });
  const stat = lstatSync(located.target, { throwIfNoEntry: false });
  if (stat === undefined || stat.isFile()) return stat === undefined ? undefined : stat.mode & 0o7777;
  if (stat.isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' });
  if (stat.isSymbolicLink()) {
    throw new BerthError('conflict', `${located.path} is a symbolic link; write to what it points to`, {
      field: 'path',
    });
  }
  throw Object.assign(new Error('not a regular file'), { code: 'ENXIO' });
}

/** Its directory may have been removed in the meantime, with all that was in it. */
function removeIfThere(target: string): void {
  try {
    unlinkSync(target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function openTemporary(directory: number, mode: number): { fd: number; temporary: string } {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  for (;;) {
    const temporary = child(directory, `.berth-${Math.random().toString(36).slice(2)}.tmp`);
    try {
      return { fd: openSync(temporary, flags, mode), temporary };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
