import { open, stat, statfs } from 'node:fs/promises';
import { mustRun } from '../run-command.ts';

/** How much is kept free in an image. */
export interface RoomSettings {
  /** With less it is made larger, until it has `wantedBytes`. */
  leastBytes: number;
  wantedBytes: number;
}

const gibibyte = 1024 ** 3;
export const defaultRoom: RoomSettings = { leastBytes: 2 * gibibyte, wantedBytes: 4 * gibibyte };
/** With so many times what is wanted it is made smaller: what sandboxes no longer need is the machine's again. */
const muchFactor = 3;
/** Left to the machine: its own programs write there too. */
const hostBytes = gibibyte / 2;
/** Of what the machine has left, at most, that lies ready and is not asked for. */
const shareAhead = 0.5;
/** What an image changes its size by, in whole ones of. */
const stepBytes = 64 * 1024 ** 2;
const lookMs = 500;
/** After a try that found no place for what is at the end of the image. */
const nextTryMs = 10_000;

/**
 * The blocks of an image are the file's from the start, so that a write to it cannot fail for want of room on the machine's own disk: for
 * btrfs that would be a broken device, and the end of all sandboxes in it. What a sandbox sees of a full disk is only ever ENOSPC.
 */
export interface ImageRoom {
  /** Resolves to the bytes that are free in the image, after it was made larger where there were fewer than these. */
  make(bytes: number): Promise<number>;
  /** Makes it as small as it may be. */
  fit(): Promise<void>;
  /** Looks after it until `close`. */
  keep(): void;
  close(): Promise<void>;
}

export function createImageRoom(image: string, root: string, { leastBytes, wantedBytes }: RoomSettings): ImageRoom {
  let last: Promise<unknown> = Promise.resolve();
  let timer: NodeJS.Timeout | null = null;
  let nextShrinkAt = 0;

  /** One change of size at a time. */
  function alone<T>(work: () => Promise<T>): Promise<T> {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  }

  /** `share`: of what the machine has left. */
  async function make(bytes: number, share = 1): Promise<number> {
    const freeBytes = await freeIn(root);
    if (freeBytes >= bytes) return freeBytes;
    const machineBytes = Math.max(0, (await freeIn(image)) - hostBytes) * share;
    const moreBytes = Math.min(Math.ceil((bytes - freeBytes) / stepBytes), Math.floor(machineBytes / stepBytes)) * stepBytes;
    if (moreBytes === 0) return freeBytes;
    const { size } = await stat(image);
    await mustRun('fallocate', ['--offset', String(size), '--length', String(moreBytes), image]);
    await useWhole(image, root);
    return freeIn(root);
  }

  async function look(): Promise<void> {
    const freeBytes = await freeIn(root);
    if (freeBytes < leastBytes) await make(wantedBytes, shareAhead);
    else if (freeBytes > muchFactor * wantedBytes && Date.now() >= nextShrinkAt) {
      nextShrinkAt = Date.now() + nextTryMs;
      await shrink(freeBytes - wantedBytes);
      nextShrinkAt = 0;
    }
  }

  async function shrink(lessBytes: number): Promise<void> {
    if (lessBytes < stepBytes) return;
    const sizeBytes = Math.ceil(((await stat(image)).size - lessBytes) / stepBytes) * stepBytes;
    // Empty groups of blocks stay what they were for, and what is moved finds no place; this gives them up.
    await mustRun('btrfs', ['balance', 'start', '-dusage=0', root]);
    await mustRun('btrfs', ['filesystem', 'resize', String(sizeBytes), root]);
    const file = await open(image, 'r+');
    await file.truncate(sizeBytes).finally(() => file.close());
    await useWhole(image, root);
  }

  function schedule(): void {
    timer = setTimeout(() => {
      // What fails is tried again; without more room sandboxes are told so when they write.
      void alone(look)
        .catch(() => {})
        .finally(() => {
          if (timer !== null) schedule();
        });
    }, lookMs).unref();
  }

  return {
    make: (bytes) => alone(() => make(bytes)),
    fit: () => alone(async () => shrink((await freeIn(root)) - wantedBytes)),
    keep() {
      if (timer === null) schedule();
    },
    async close() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
      await last;
    },
  };
}

async function freeIn(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** Has the mounted file system take all of its file, whatever size that had before. */
export async function useWhole(image: string, root: string): Promise<void> {
  const device = (await mustRun('losetup', ['--noheadings', '--output', 'NAME', '--associated', image])).trim().split('\n')[0]!.trim();
  await mustRun('losetup', ['--set-capacity', device]);
  await mustRun('btrfs', ['filesystem', 'resize', 'max', root]);
}

/** Gives a file all its blocks. `false`: this file system cannot, or has too few. */
export async function ownBlocks(image: string): Promise<boolean> {
  const { size, blocks } = await stat(image);
  if (blocks * 512 >= size) return true;
  return mustRun('fallocate', ['--length', String(size), image]).then(
    () => true,
    () => false,
  );
}
