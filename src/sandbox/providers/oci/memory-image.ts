import { existsSync } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from '../../run-command.ts';

/**
 * The memory image of one sandbox, a directory whose name is its state:
 *
 * - `<id>.new`: being written; the processes are still there and this is nothing yet.
 * - `<id>`: whole and on disk. The sandbox is hibernated, whatever else of it there still is.
 * - `<id>.waking`: being restored. Until the processes run it is as good as `<id>`; after, it is stale, because they
 *   change the disk that it belongs to.
 *
 * Every step from one to the next is one rename, so a crash at any instant leaves one of them.
 */
export interface MemoryImage {
  pending: string;
  final: string;
  waking: string;
  /** Held by whoever writes `pending`, also when it outlives the process of Berth that started it. */
  lock: string;
}

export function memoryImage(imagesDir: string, id: string): MemoryImage {
  const final = join(imagesDir, id);
  return { final, pending: `${final}.new`, waking: `${final}.waking`, lock: `${final}.lock` };
}

export function isHibernated(image: MemoryImage): boolean {
  return existsSync(image.final) || existsSync(image.waking);
}

/** Facts about an image, in it. */
export interface ImageFacts {
  /** CRIU's name for the file that init prints to, `file[mount:inode]`: outside the sandbox's mounts, so given anew at restore. */
  logFile: string;
  /** Whether the sandbox was paused when it was hibernated. */
  paused: boolean;
}

const factsName = 'berth.json';
const bootName = 'boot';

export async function startImage(image: MemoryImage, facts: ImageFacts): Promise<void> {
  await rm(image.pending, { recursive: true, force: true });
  await mkdir(image.pending, { recursive: true, mode: 0o700 });
  await writeFile(join(image.pending, factsName), JSON.stringify(facts));
}

export async function readFacts(directory: string): Promise<ImageFacts | null> {
  try {
    return JSON.parse(await readFile(join(directory, factsName), 'utf8')) as ImageFacts;
  } catch {
    // Not written to its end, or damaged: the caller goes on without.
    return null;
  }
}

/** Makes the image, and with it the sandbox's disk on the same file system, durable, and then current. */
export async function commitImage(image: MemoryImage, imagesDir: string): Promise<void> {
  await mustRun('sync', ['--file-system', image.pending]);
  await rename(image.pending, image.final);
  await syncDirectory(imagesDir);
}

/** From here to `finishImage` a crash is settled by `recoverImages`. */
export async function beginWaking(image: MemoryImage): Promise<void> {
  if (existsSync(image.waking)) return;
  await writeFile(join(image.final, bootName), await bootId());
  await rename(image.final, image.waking);
}

export async function revertWaking(image: MemoryImage): Promise<void> {
  await rename(image.waking, image.final);
}

/** Whether the machine has not been restarted since `beginWaking`. */
export async function isSameBoot(image: MemoryImage): Promise<boolean> {
  const written = await readFile(join(image.waking, bootName), 'utf8').catch(() => null);
  return written === (await bootId());
}

export async function removeImage(image: MemoryImage): Promise<void> {
  // One rename first: what is half removed must not be taken for an image.
  if (existsSync(image.final)) {
    await rm(image.pending, { recursive: true, force: true });
    await rename(image.final, image.pending);
  }
  for (const path of [image.pending, image.waking, image.lock]) await rm(path, { recursive: true, force: true });
}

/** Ids of which there is an image in any state. */
export async function imageIds(imagesDir: string): Promise<string[]> {
  const names = await readdir(imagesDir);
  return [...new Set(names.map((name) => name.replace(/\.(?:new|waking|lock)$/, '')))];
}

async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
