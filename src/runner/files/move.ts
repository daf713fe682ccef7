import { closeSync, createReadStream, fstatSync, lstatSync, renameSync, unlinkSync } from 'node:fs';
import { BerthError } from '../../protocol/errors.ts';
import { openRegularFile, type Located } from './locate.ts';
import { openReplacement } from './replace.ts';

/**
 * As rename(2): replaces a file, and a directory that is empty. Between file systems a file is copied and then removed; a directory is
 * refused with `unsupported`, for it could be left half moved.
 */
export async function movePath(from: Located, to: Located): Promise<void> {
  for (const { isRoot, path } of [from, to]) {
    if (isRoot) throw new BerthError('path_not_allowed', `${path} itself cannot be moved`, { field: 'from' });
  }
  try {
    renameSync(from.target, to.target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV' || !lstatSync(from.target).isFile()) throw error;
    await copyFile(from, to);
    unlinkSync(from.target);
  }
}

async function copyFile(from: Located, to: Located): Promise<void> {
  const { fd } = openRegularFile(from.target);
  try {
    using replacement = openReplacement(to, fstatSync(fd).mode & 0o7777);
    await replacement.write(createReadStream('', { fd, autoClose: false }));
    await replacement.commit();
  } finally {
    closeSync(fd);
  }
}
