import { closeSync, lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { basename } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import type { FileInfo } from '../../protocol/runner-api.ts';
import { openDirectory, type Located } from './locate.ts';

/** A listing is one JSON document, held in memory on both sides. */
const maxEntries = 20_000;

/** What is at a place, a symlink itself included. Throws `ENOENT`. */
export function readInfo(located: Located): FileInfo {
  return toInfo(located.path, basename(located.path), located.target, lstatSync(located.target));
}

/** The entries of a directory, by name; ones that vanish meanwhile are left out. */
export function listDirectory(located: Located): FileInfo[] {
  const directory = openDirectory(located.target);
  try {
    const base = Buffer.from(`/proc/self/fd/${directory}/`);
    // As bytes: a name need not be UTF-8, and must be found again to be described.
    const names = readdirSync(base, { encoding: 'buffer' });
    if (names.length > maxEntries) {
      throw new BerthError('payload_too_large', `${located.path} has more than ${maxEntries} entries`, {
        field: 'path',
      });
    }
    const infos: FileInfo[] = [];
    for (const bytes of names) {
      const target = Buffer.concat([base, bytes]);
      const stat = lstatSync(target, { throwIfNoEntry: false });
      const name = bytes.toString('utf8');
      if (stat !== undefined)
        infos.push(toInfo(`${located.path === '/' ? '' : located.path}/${name}`, name, target, stat));
    }
    return infos.sort((a, b) => (a.name < b.name ? -1 : 1));
  } finally {
    closeSync(directory);
  }
}

function toInfo(path: string, name: string, target: string | Buffer, stat: Stats): FileInfo {
  const link = stat.isSymbolicLink() ? readLink(target) : null;
  return {
    path,
    name,
    type: stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'symlink' : 'other',
    sizeBytes: stat.size,
    mode: stat.mode & 0o7777,
    modifiedAt: stat.mtime.toISOString(),
    ...(link === null ? {} : { target: link }),
  };
}

/** `null` when it was replaced meanwhile. */
function readLink(target: string | Buffer): string | null {
  try {
    return readlinkSync(target);
  } catch {
    return null;
  }
}
