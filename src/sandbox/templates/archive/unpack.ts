import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { extract, type Entry, type Headers } from 'tar-stream';
import { BerthError } from '../../../protocol/errors.ts';
import { entryPath } from './entry-path.ts';

export interface UnpackLimits {
  /** Of all files' contents, and of the archive itself. */
  maxBytes: number;
  maxEntries: number;
}

/** What an archive was, and what of it is not in the tree itself. */
export interface UnpackedLayer {
  /** SHA-256 of the archive, uncompressed: its name. */
  digest: string;
  sizeBytes: number;
  entries: number;
  /** Paths that it removes of the layers below (the image format's whiteouts), and directories that it empties first. */
  removed: string[];
  emptied: string[];
  /** Directories that entries needed and that the archive does not have: what is below has their owner and mode. */
  implied: string[];
  /** Devices and FIFOs, which no template keeps. */
  skipped: number;
  /** Files that ran as their owner; they do not any more. */
  unset: number;
}

const whiteout = '.wh.';
const opaque = '.wh..wh..opq';
const runsAsOwner = 0o6000;
/** Names longer than a header has room for come in headers of their own, which are gathered in memory. */
const maxHeaderBytes = 1024 ** 2;
/** Only root may give files away; for others they are their own, as everything in their sandboxes is. */
const mayChown = process.geteuid?.() === 0;

/**
 * Unpacks a tar archive that nobody vouches for into an empty directory that nobody else writes to. Nothing is written but below
 * it: each entry is made new, in directories that were made here, through no link. Owners and times are as the archive says;
 * devices, FIFOs, extended attributes (so capabilities too), and set-user-ID and set-group-ID bits are left out.
 *
 * Synchronous on the disk, so to be run off the main thread. Throws `invalid_request`, and `resource_exhausted` beyond the limits.
 */
export async function unpack(chunks: AsyncIterable<Buffer>, root: string, limits: UnpackLimits): Promise<UnpackedLayer> {
  const hash = createHash('sha256');
  const archive = extract();
  let fed = 0;
  /** How much was fed when something last came out. */
  let passed = 0;
  const layer = createLayerWriter(root, limits, () => (passed = fed));

  const feeding = (async () => {
    for await (const chunk of chunks) {
      hash.update(chunk);
      fed += chunk.length;
      if (fed > limits.maxBytes + limits.maxEntries * 1024) throw tooLarge(limits);
      if (fed - passed - chunk.length > maxHeaderBytes) {
        throw new BerthError('invalid_request', 'the archive has a header that is too large', { field: 'from' });
      }
      if (!archive.write(chunk)) await drained(archive);
      if (archive.destroyed) return;
    }
    archive.end();
  })();
  feeding.catch((error: Error) => archive.destroy(error));

  try {
    for await (const entry of archive) {
      const size = sizeOf(entry.header);
      passed = fed;
      await layer.add(entry, size);
    }
  } catch (error) {
    archive.destroy();
    throw error instanceof BerthError || isDiskError(error)
      ? error
      : new BerthError('invalid_request', `this is not a whole tar archive: ${messageOf(error)}`, { field: 'from', cause: error });
  }
  await feeding;
  layer.finish();
  return { ...layer.summary(), digest: hash.digest('hex') };
}

function drained(archive: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      archive.off('drain', done);
      archive.off('close', done);
      resolve();
    };
    archive.on('drain', done);
    archive.on('close', done);
  });
}

function createLayerWriter(root: string, limits: UnpackLimits, onContent: () => void) {
  const [removed, emptied] = [new Set<string>(), new Set<string>()];
  const implied = new Set<string>();
  /** Directories that were made here and still are; the value is what the archive says of them, applied at the end. */
  const directories = new Map<string, Headers | null>([['', null]]);
  const counts = { sizeBytes: 0, entries: 0, skipped: 0, unset: 0 };

  function refuse(header: Headers, why: string): never {
    throw new BerthError('invalid_request', `the archive has an entry ${JSON.stringify(header.name.slice(0, 200))}: ${why}`, { field: 'from' });
  }

  /** Makes what is missing of the way to an entry. */
  function parentOf(parts: readonly string[], header: Headers): string {
    let path = '';
    for (const part of parts.slice(0, -1)) {
      path = path === '' ? part : `${path}/${part}`;
      if (directories.has(path)) continue;
      if (lstatSync(join(root, path), { throwIfNoEntry: false }) !== undefined) refuse(header, 'its path leads through what is no directory');
      mkdirSync(join(root, path), { mode: 0o755 });
      directories.set(path, null);
      implied.add(path);
    }
    return path;
  }

  /** The later of two entries of one path holds. */
  function clear(path: string): void {
    const full = join(root, path);
    const stat = lstatSync(full, { throwIfNoEntry: false });
    if (stat === undefined) return;
    rmSync(full, { recursive: true });
    if (!stat.isDirectory()) return;
    for (const set of [directories, implied]) {
      for (const known of set.keys()) if (known === path || known.startsWith(`${path}/`)) set.delete(known);
    }
  }

  function modeOf(header: Headers): number {
    const mode = header.mode ?? 0o644;
    if (header.type !== 'directory' && (mode & runsAsOwner) !== 0) counts.unset += 1;
    return mode & 0o1777;
  }

  function own(path: string, header: Headers): void {
    if (mayChown) lchownSync(path, idOf(header.uid), idOf(header.gid));
  }

  async function addFile(path: string, header: Headers, entry: Entry, size: number): Promise<void> {
    const full = join(root, path);
    const file = openSync(full, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    try {
      let written = 0;
      for await (const chunk of entry) {
        onContent();
        writeWhole(file, chunk as Buffer);
        written += (chunk as Buffer).length;
      }
      if (written !== size) refuse(header, 'its content is cut off');
    } finally {
      closeSync(file);
    }
    own(full, header);
    chmodSync(full, modeOf(header));
    const time = header.mtime ?? new Date(0);
    utimesSync(full, time, time);
  }

  return {
    async add(entry: Entry, size: number): Promise<void> {
      const { header } = entry;
      counts.entries += 1;
      if (counts.entries > limits.maxEntries) throw tooMany(limits);
      counts.sizeBytes += header.type === 'file' || header.type === 'contiguous-file' ? size : 0;
      if (counts.sizeBytes > limits.maxBytes) throw tooLarge(limits);
      if (isSparse(header)) refuse(header, 'sparse files are not taken; make the archive without --sparse');

      const parts = entryPath(header.name);
      const path = parts.join('/');
      const name = parts.at(-1);
      const isFile = header.type === 'file' || header.type === 'contiguous-file';
      if (!isFile) entry.resume();
      if (name === undefined) {
        if (header.type !== 'directory') refuse(header, 'the root is a directory');
        directories.set('', header);
        return;
      }
      if (name.startsWith(whiteout)) {
        entry.resume();
        const parent = parts.slice(0, -1).join('/');
        if (name === opaque) emptied.add(parent);
        else if (name.startsWith(`${whiteout}${whiteout}`)) counts.skipped += 1;
        else {
          const [target] = entryPath(name.slice(whiteout.length));
          if (target === undefined) refuse(header, 'it removes nothing');
          removed.add(parent === '' ? target : `${parent}/${target}`);
        }
        return;
      }
      if (header.type === 'character-device' || header.type === 'block-device' || header.type === 'fifo') {
        counts.skipped += 1;
        return;
      }

      parentOf(parts, header);
      if (header.type === 'directory') {
        if (!directories.has(path)) {
          clear(path);
          mkdirSync(join(root, path), { mode: 0o755 });
        }
        directories.set(path, header);
        implied.delete(path);
        return;
      }
      clear(path);
      if (isFile) return addFile(path, header, entry, size);
      if (header.type === 'symlink') {
        const target = header.linkname ?? '';
        if (target === '' || target.includes('\0') || Buffer.byteLength(target) > 4095) refuse(header, 'it links to nothing');
        const full = join(root, path);
        symlinkSync(target, full);
        own(full, header);
        const time = header.mtime ?? new Date(0);
        lutimesSync(full, time, time);
        return;
      }
      if (header.type === 'link') {
        const target = entryPath(header.linkname ?? '').join('/');
        // Through no link, and to nothing but a file or a link that came with this archive.
        const above = target.split('/').slice(0, -1).join('/');
        const stat = directories.has(above) ? lstatSync(join(root, target), { throwIfNoEntry: false }) : undefined;
        if (stat === undefined || stat.isDirectory()) refuse(header, 'it is another name for a file that the archive does not have before it');
        linkSync(join(root, target), join(root, path));
        return;
      }
      refuse(header, 'it is of a kind that is not known');
    },

    /** Directories get their owner, mode and time when nothing is written to them any more. */
    finish(): void {
      for (const [path, header] of directories) {
        if (header === null) continue;
        const full = join(root, path);
        own(full, header);
        chmodSync(full, modeOf(header));
        const time = header.mtime ?? new Date(0);
        utimesSync(full, time, time);
      }
    },

    summary: () => ({ ...counts, removed: [...removed], emptied: [...emptied], implied: [...implied] }),
  };
}

function writeWhole(file: number, chunk: Buffer): void {
  for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at);
}

function sizeOf(header: Headers): number {
  const size = header.size ?? 0;
  if (!Number.isSafeInteger(size) || size < 0) throw new BerthError('invalid_request', 'the archive has an entry of no size', { field: 'from' });
  return size;
}

function isSparse(header: Headers): boolean {
  const { pax } = header as { pax?: Record<string, string> | null };
  return pax !== undefined && pax !== null && Object.keys(pax).some((key) => key.startsWith('GNU.sparse'));
}

function idOf(id: number | undefined): number {
  return Number.isSafeInteger(id) && id! >= 0 && id! < 2 ** 32 - 1 ? id! : 0;
}

function isDiskError(error: unknown): boolean {
  return typeof (error as NodeJS.ErrnoException | null)?.syscall === 'string';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function tooLarge({ maxBytes }: UnpackLimits): BerthError {
  return new BerthError('resource_exhausted', `a template has at most ${maxBytes} bytes`, { field: 'from' });
}

function tooMany({ maxEntries }: UnpackLimits): BerthError {
  return new BerthError('resource_exhausted', `a template has at most ${maxEntries} files`, { field: 'from' });
}
