import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, open, readlink, realpath, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';

/** An open directory with the path that the kernel gives it: no rename or symlink can change what it is. */
export interface OpenDirectory extends AsyncDisposable {
  /** For use in calls that take a path: goes through the open directory, not through names. */
  viaHandle(name: string): string;
  realPath: string;
}

/**
 * Opens the directory at `path`, which is then checked by what was opened. Needs /proc, which every
 * sandbox has.
 */
export async function openDirectory(path: string): Promise<OpenDirectory> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  const viaProc = `/proc/self/fd/${handle.fd}`;
  try {
    return {
      realPath: await readlink(viaProc),
      viaHandle: (name) => `${viaProc}/${name}`,
      [Symbol.asyncDispose]: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The real path of an open file. */
export function realPathOf(handle: FileHandle): Promise<string> {
  return readlink(`/proc/self/fd/${handle.fd}`);
}

/** Whether a real path is one of the roots or below one. */
export function isInside(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => path === root || path.startsWith(root.endsWith(sep) ? root : root + sep));
}

/** The real paths of those roots that exist. */
export async function realRoots(roots: readonly string[]): Promise<string[]> {
  const found = await Promise.all(roots.map((root) => realpath(root).catch(() => null)));
  return found.filter((root) => root !== null);
}

/**
 * Makes a directory and its missing parents, and gives its path with every symlink resolved. Throws
 * `path_not_allowed` before anything is made when the nearest existing parent is refused by `allowed`.
 */
export async function makeDirectories(path: string, allowed: (realPath: string) => boolean): Promise<string> {
  const missing: string[] = [];
  let existing = resolve(path);
  while ((await statLink(existing)) === null && dirname(existing) !== existing) {
    missing.unshift(basename(existing));
    existing = dirname(existing);
  }
  const real = await realpath(existing);
  const target = join(real, ...missing);
  if (!allowed(target))
    throw new BerthError('path_not_allowed', `the path is not allowed: ${path}`, { context: { path } });
  await mkdir(target, { recursive: true });
  return target;
}

/** `null` when there is nothing at `path`. */
export async function statLink(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
