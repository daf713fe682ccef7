import { closeSync, lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BerthError } from '../../protocol/errors.ts';
import { child, openDirectory, type Located } from './locate.ts';

/** Removals between two turns of the event loop, so that a large tree does not stall other requests. */
const batch = 256;

/**
 * Removes a file, a symlink itself, or a directory. Descends by descriptors only: `fs.rm` looks at a path and then uses
 * it, and follows what was put there in between.
 */
export async function removeTree(located: Located, recursive: boolean): Promise<void> {
  if (located.isRoot)
    throw new BerthError('path_not_allowed', `${located.path} itself cannot be removed`, { field: 'path' });
  if (!lstatSync(located.target).isDirectory()) {
    unlinkSync(located.target);
    return;
  }
  if (recursive) await emptyDirectory(located.target, { done: 0 });
  rmdirSync(located.target);
}

async function emptyDirectory(target: string | Buffer, count: { done: number }): Promise<void> {
  const directory = openDirectory(target);
  try {
    for (const entry of readdirSync(`/proc/self/fd/${directory}`, { withFileTypes: true, encoding: 'buffer' })) {
      // As bytes: a name need not be UTF-8.
      const path = Buffer.concat([Buffer.from(child(directory, '')), entry.name]);
      if (entry.isDirectory()) {
        await emptyDirectory(path, count);
        rmdirSync(path);
      } else {
        unlinkSync(path);
      }
      if (++count.done % batch === 0) await nextTurn();
    }
  } finally {
    closeSync(directory);
  }
}
