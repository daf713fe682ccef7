import { randomBytes } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { mustRun } from '../../run-command.ts';
import { syncDirectory } from '../../sync-directory.ts';

/**
 * The memory image of one sandbox, a directory whose name is its state:
 *
 * - `<id>.new`: being written; the processes are still there, and this is nothing.
 * - `<id>`: whole and on disk. The sandbox is hibernated, whatever else of it there still is.
 * - `<id>.waking`: being restored. Until the processes run it is as good as `<id>`; after, it is stale, because they
 *   change the disk that it belongs to.
 * - `<id>.gone-<random>`: nothing any more, and being removed, while the next one may already be being written.
 *
 * Every step from one to the next is one rename, so a crash at any instant leaves one of them.
 */
export interface MemoryImage {
  pending: string;
  final: string;
  waking: string;
  /** The file of its `ImageLock`. */
  lock: string;
}

export function memoryImage(imagesDir: string, id: string): MemoryImage {
  const final = join(imagesDir, id);
  return { final, pending: `${final}.new`, waking: `${final}.waking`, lock: `${final}.lock` };
}

export function isHibernated(image: MemoryImage): boolean {
  return existsSync(image.final) || existsSync(image.waking);
}

const imageFacts = z.object({
  /** The checkpointer's own; see `ImageDescription`. */
  description: z.record(z.string(), z.string()),
  /** Bytes of each file. CRIU reads on for ever at the end of one that is cut short. */
  sizes: z.record(z.string(), z.number()),
});
export type ImageFacts = z.infer<typeof imageFacts>;

const factsName = 'berth.json';
const bootName = 'boot';
const retiredMark = '.gone-';

export async function startImage(image: MemoryImage): Promise<void> {
  await rm(image.pending, { recursive: true, force: true });
  await mkdir(image.pending, { recursive: true, mode: 0o700 });
}

/** Once everything is there that belongs to the image. */
export async function writeFacts(directory: string, facts: Omit<ImageFacts, 'sizes'>): Promise<void> {
  await writeFile(join(directory, factsName), JSON.stringify({ ...facts, sizes: await fileSizes(directory) }));
}

/** `null`: damaged. */
export async function readFacts(directory: string): Promise<ImageFacts | null> {
  const text = await readFile(join(directory, factsName), 'utf8').catch(() => '');
  try {
    const facts = imageFacts.parse(JSON.parse(text));
    const sizes = await fileSizes(directory);
    return Object.entries(facts.sizes).every(([name, bytes]) => sizes[name] === bytes) ? facts : null;
  } catch {
    return null;
  }
}

async function fileSizes(directory: string): Promise<Record<string, number>> {
  const sizes: Record<string, number> = {};
  for (const name of await readdir(directory)) sizes[name] = statSync(join(directory, name)).size;
  return sizes;
}

/** Makes the image, and with it the sandbox's disk on the same file system, durable, and then current. */
export async function commitImage(image: MemoryImage, imagesDir: string): Promise<void> {
  await mustRun('sync', ['--file-system', image.pending]);
  await rename(image.pending, image.final);
  await syncDirectory(imagesDir);
}

/** From here on a crash of the machine must not bring the image back: it would not fit the disk any more. */
export async function beginWaking(image: MemoryImage, imagesDir: string): Promise<void> {
  if (!existsSync(image.waking)) {
    await writeFile(join(image.final, bootName), await bootId());
    await rename(image.final, image.waking);
  }
  await syncDirectory(imagesDir);
}

export async function revertWaking(image: MemoryImage): Promise<void> {
  await rename(image.waking, image.final);
}

/** Whether the machine has not been restarted since `beginWaking`. */
export async function isSameBoot(image: MemoryImage): Promise<boolean> {
  const written = await readFile(join(image.waking, bootName), 'utf8').catch(() => null);
  return written === (await bootId());
}

/** Whatever there is of it. The caller knows that nobody is at work on it. */
export async function removeImage(image: MemoryImage): Promise<void> {
  await retireImage(image);
  await removeRetired(dirname(image.final), basename(image.final));
  for (const path of [image.pending, image.lock]) await rm(path, { recursive: true, force: true });
}

/**
 * One rename: what is half removed must not be taken for an image. The rest is for `removeRetired`, whenever: it shares no
 * name with the next image, which may already be being written, nor with its lock.
 */
export async function retireImage(image: MemoryImage): Promise<void> {
  for (const path of [image.final, image.waking]) {
    if (existsSync(path)) await rename(path, `${image.final}${retiredMark}${randomBytes(6).toString('hex')}`);
  }
}

/** Of one sandbox, or of all. */
export async function removeRetired(imagesDir: string, id: string | null = null): Promise<void> {
  const isRetired = (name: string) => (id === null ? name.includes(retiredMark) : name.startsWith(id + retiredMark));
  for (const name of (await namesIn(imagesDir)).filter(isRetired)) {
    await rm(join(imagesDir, name), { recursive: true, force: true });
  }
}

/** Ids of which there is an image in any state but the last. */
export async function imageIds(imagesDir: string): Promise<string[]> {
  const live = (await namesIn(imagesDir)).filter((name) => !name.includes(retiredMark));
  return [...new Set(live.map((name) => name.replace(/\.(?:new|waking|lock)$/, '')))];
}

async function namesIn(imagesDir: string): Promise<string[]> {
  return existsSync(imagesDir) ? readdir(imagesDir) : [];
}

async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}
