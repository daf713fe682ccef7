import { createWriteStream } from 'node:fs';
import { chmod, lstat, mkdir, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join, posix } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import { BerthError, type BerthClient, type FileInfo } from '../../sdk/index.ts';
import { checkedName, type RemotePath } from './remote-path.ts';

/** Requests under way at once; more gain nothing over one connection pool. */
const parallel = 8;

export interface Copied {
  files: number;
  bytes: number;
}

/**
 * Copies a file or directory out of a session. File by file over the files API rather than through an
 * archive: what comes out of a sandbox is hostile, and nothing here writes through a link, keeps a
 * set-uid bit, makes a device, or leaves the target directory. Symbolic links are made last.
 */
export async function download(client: BerthClient, from: RemotePath, to: string): Promise<Copied> {
  const info = await client.sessions.files.stat(from.sessionId, from.path);
  const inside = await isDirectory(to);
  const target = inside || to.endsWith('/') ? join(to, checkedName(posix.basename(from.path) || 'root')) : to;
  const copied: Copied = { files: 0, bytes: 0 };
  if (info.type !== 'directory') {
    // A link that is named itself is followed, and has no permissions of its own.
    const mode = info.type === 'symlink' ? 0o644 : info.mode;
    await fetchFile(client, from.sessionId, from.path, target, mode, copied);
    return copied;
  }
  const links: { path: string; target: string }[] = [];
  const files: { info: FileInfo; path: string }[] = [];
  await walk(client, from.sessionId, from.path, target, files, links);
  const queue = files.values();
  await Promise.all(
    Array.from({ length: parallel }, async () => {
      for (const file of queue) {
        await fetchFile(client, from.sessionId, file.info.path, file.path, file.info.mode, copied);
      }
    }),
  );
  for (const link of links) {
    await makeLink(link.path, link.target);
    copied.files++;
  }
  return copied;
}

async function walk(
  client: BerthClient,
  sessionId: string,
  from: string,
  to: string,
  files: { info: FileInfo; path: string }[],
  links: { path: string; target: string }[],
): Promise<void> {
  await ownDirectory(to);
  for (const entry of await client.sessions.files.list(sessionId, from)) {
    const path = join(to, checkedName(entry.name));
    const remote = posix.join(from, entry.name);
    if (entry.type === 'directory') await walk(client, sessionId, remote, path, files, links);
    else if (entry.type === 'file') files.push({ info: { ...entry, path: remote }, path });
    else if (entry.type === 'symlink' && entry.target !== undefined) links.push({ path, target: entry.target });
  }
}

/** Replaces a file or link that is there; a directory stays, and the copy fails. */
async function makeLink(path: string, target: string): Promise<void> {
  if (await isDirectory(path)) throw new BerthError('conflict', `${path} is a directory, and a link in the sandbox`);
  await rm(path, { force: true });
  await symlink(target, path);
}

/** Makes a directory, or takes one that is there; never one behind a link. */
async function ownDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(error);
    if (!(await lstat(path)).isDirectory()) throw new BerthError('conflict', `${path} is there and is no directory`);
  }
}

/** Written beside and renamed, so that a broken connection leaves no half file, and a link is replaced rather than followed. */
async function fetchFile(
  client: BerthClient,
  sessionId: string,
  from: string,
  to: string,
  mode: number,
  copied: Copied,
): Promise<void> {
  const content = await client.sessions.files.read(sessionId, from);
  const beside = join(dirname(to), `.${basename(to)}.berth-${process.pid}`);
  try {
    const file = createWriteStream(beside, { flags: 'wx', mode: 0o600 });
    await pipeline(Readable.fromWeb(content as NodeReadableStream<Uint8Array>), file);
    // Only whether it can be run is taken over; the rest is this user's own habit.
    await chmod(beside, (mode & 0o100 ? 0o777 : 0o666) & ~process.umask());
    await rename(beside, to);
    copied.files++;
    copied.bytes += file.bytesWritten;
  } catch (error) {
    await rm(beside, { force: true });
    throw fileError(error);
  }
}

function fileError(error: unknown): BerthError {
  if (error instanceof BerthError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'EISDIR' || code === 'ENOTDIR' || code === 'EACCES') {
    return new BerthError('invalid_request', message, { cause: error });
  }
  return new BerthError('unavailable', `the copy broke off: ${message}`, { cause: error });
}

async function isDirectory(path: string): Promise<boolean> {
  return lstat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}
