import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readlinkSync, realpathSync } from 'node:fs';
import { posix } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';

/** `O_PATH` of fcntl.h, which Node does not name: a handle on the place, without opening what is there. */
const O_PATH = 0o10000000;
const directoryFlags = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** As the kernel's own limit. */
const maxSymlinks = 40;
const maxPathLength = 4096;

export interface LocateOptions {
  /** The request's field, for errors. */
  field?: string;
  /** Whether a symlink in last place is followed. One before it always is, as long as it stays inside the roots. */
  followLast?: boolean;
  makeParents?: boolean;
}

/**
 * A name in an open directory. `target` goes through the directory's descriptor, so nothing that happens to the path
 * after it was checked can move an operation elsewhere; the operation itself must not follow a symlink
 * in last place. Close it, or declare it with `using`.
 */
export interface Located extends Disposable {
  /** What to give to system calls. */
  target: string;
  /** Descriptor of the directory. */
  directory: number;
  /** Last component; `.` for a root. */
  name: string;
  /** The caller's path, without `.` and `..`. */
  path: string;
  isRoot: boolean;
}

export type Locate = (path: string, options?: LocateOptions) => Located;

/**
 * Resolves paths below `roots`, component by component: each is opened relative to the one before, never following a link
 * by itself; a symlink's text is resolved like a new path and refused when it leaves the roots. This is what
 * `openat2(RESOLVE_BENEATH)` does, which Node does not offer. Throws `path_not_allowed`, or an errno error.
 */
export function createLocator(roots: readonly string[]): Locate {
  const known = [...new Set(roots.flatMap((root) => [root, realRoot(root)]))];
  return (given, options = {}) => {
    const path = checkPath(given, options.field);
    let next = path;
    for (let links = 0; links <= maxSymlinks; links++) {
      const step = walk(known, next, options, given);
      if (typeof step !== 'string') return { ...step, path };
      next = step;
    }
    throw Object.assign(new Error('too many symbolic links'), { code: 'ELOOP' });
  };
}

function realRoot(root: string): string {
  try {
    return realpathSync(root);
  } catch {
    return root;
  }
}

function checkPath(path: string, field = 'path'): string {
  if (!path.startsWith('/') || path.length > maxPathLength || path.includes('\0')) {
    throw new BerthError(
      'invalid_request',
      `${field} must be an absolute path of at most ${maxPathLength} characters`,
      { field },
    );
  }
  return trimSlash(posix.normalize(path));
}

function trimSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}

/** The place, or the path to go on with when a symlink was met. */
function walk(roots: readonly string[], path: string, options: LocateOptions, given: string): Located | string {
  const root = roots.find((candidate) => path === candidate || path.startsWith(`${candidate}/`));
  if (root === undefined) {
    throw new BerthError('path_not_allowed', `${given} is outside the directories that may be accessed`, {
      field: options.field ?? 'path',
      context: { path: given, roots: [...roots] },
    });
  }
  const parts = path
    .slice(root.length + 1)
    .split('/')
    .filter(Boolean);
  let directory = openSync(root, O_PATH | constants.O_DIRECTORY);
  let at = root;
  try {
    while (parts.length > 1) {
      const name = parts.shift()!;
      const next = enter(directory, name, options.makeParents ?? false);
      if (next === null) return join(at, readlinkSync(child(directory, name)), parts);
      closeSync(directory);
      directory = next;
      at = `${at}/${name}`;
    }
    const name = parts[0] ?? '.';
    if (options.followLast && name !== '.') {
      const link = readLink(directory, name);
      if (link !== null) return join(at, link, []);
    }
    const held = directory;
    directory = -1;
    return {
      directory: held,
      name,
      path,
      isRoot: name === '.',
      target: child(held, name),
      [Symbol.dispose]: () => closeSync(held),
    };
  } finally {
    if (directory !== -1) closeSync(directory);
  }
}

/** Opens a directory's subdirectory; `null` when it is a symlink. */
function enter(directory: number, name: string, make: boolean): number | null {
  for (;;) {
    try {
      // With O_DIRECTORY the kernel answers ENOTDIR to symlinks and files alike: ask without.
      const fd = openSync(child(directory, name), O_PATH | constants.O_NOFOLLOW);
      const stat = fstatSync(fd);
      if (stat.isDirectory()) return fd;
      closeSync(fd);
      if (stat.isSymbolicLink()) return null;
      throw Object.assign(new Error('not a directory'), { code: 'ENOTDIR' });
    } catch (error) {
      if (!make || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      makeDirectory(child(directory, name));
    }
  }
}

function makeDirectory(target: string): void {
  try {
    mkdirSync(target);
  } catch (error) {
    // Somebody else made it just now.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function readLink(directory: number, name: string): string | null {
  const stat = lstatSync(child(directory, name), { throwIfNoEntry: false });
  return stat?.isSymbolicLink() ? readlinkSync(child(directory, name)) : null;
}

function join(at: string, link: string, rest: readonly string[]): string {
  return trimSlash(posix.normalize([link.startsWith('/') ? link : `${at}/${link}`, ...rest].join('/')));
}

/** A name below an open directory, as a path. */
export function child(directory: number, name: string): string {
  return `/proc/self/fd/${directory}/${name}`;
}

/** Opens a located directory to work in; `ENOTDIR` when it is something else. The caller closes it. */
export function openDirectory(target: string | Buffer): number {
  return openSync(target, directoryFlags);
}

/** Opens what is at `target`, if it is a regular file, for reading. Never blocks on a FIFO or device, which is refused. */
export function openRegularFile(target: string): { fd: number; sizeBytes: number } {
  const probe = openSync(target, O_PATH | constants.O_NOFOLLOW);
  try {
    const stat = fstatSync(probe);
    if (stat.isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' });
    if (!stat.isFile()) throw Object.assign(new Error('not a regular file'), { code: 'ENXIO' });
    // The very file that was just looked at, whatever its name leads to by now.
    const fd = openSync(`/proc/self/fd/${probe}`, constants.O_RDONLY | constants.O_NONBLOCK);
    return { fd, sizeBytes: stat.size };
  } finally {
    closeSync(probe);
  }
}
