import { open, stat } from 'node:fs/promises';
import { freeBytesAt } from '../free-bytes.ts';
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
/** What btrfs needs beside a group of blocks to move it. */
const slackBytes = gibibyte / 4;
/** After a look that found nothing to give back: what was deleted is free a little later. */
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
    const freeBytes = await freeBytesAt(root);
    if (freeBytes >= bytes) return freeBytes;
    const machineBytes = Math.max(0, (await freeBytesAt(image)) - hostBytes) * share;
    const moreBytes = Math.min(Math.ceil((bytes - freeBytes) / stepBytes), Math.floor(machineBytes / stepBytes)) * stepBytes;
    if (moreBytes === 0) return freeBytes;
    await grow(moreBytes);
    return freeBytesAt(root);
  }

  async function grow(moreBytes: number): Promise<void> {
    const { size } = await stat(image);
    await mustRun('fallocate', ['--offset', String(size), '--length', String(moreBytes), image]);
    await useWhole(image, root);
  }

  async function look(): Promise<void> {
    const freeBytes = await freeBytesAt(root);
    if (freeBytes < leastBytes) await make(wantedBytes, shareAhead);
    else if (freeBytes > muchFactor * wantedBytes && Date.now() >= nextShrinkAt) await shrink(freeBytes - wantedBytes);
  }

  async function shrink(lessBytes: number): Promise<void> {
    // Empty groups of blocks stay what they were for, and what is moved finds no place; this gives them up.
    await mustRun('btrfs', ['balance', 'start', '-dusage=0', root]);
    const { size } = await stat(image);
    // A group is a tenth of the whole, and of a gibibyte at most; the last one needs another place.
    const neededBytes = (await allocatedIn(root)) + Math.min(gibibyte, size / 10) + slackBytes;
    const sizeBytes = Math.ceil(Math.max(size - lessBytes, neededBytes) / stepBytes) * stepBytes;
    if (sizeBytes >= size) {
      nextShrinkAt = Date.now() + nextTryMs;
      return;
    }
    try {
      await mustRun('btrfs', ['filesystem', 'resize', String(sizeBytes), root]);
    } catch (error) {
      // From a try that failed on btrfs says that nothing is free, until it has grown; so it is the last one until the next start.
      nextShrinkAt = Infinity;
      await grow(stepBytes);
      throw error;
    }
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
    fit: () => alone(async () => shrink((await freeBytesAt(root)) - wantedBytes)),
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

/** Bytes of its device that btrfs has given to groups of blocks. */
async function allocatedIn(root: string): Promise<number> {
  const told = /Device allocated:\s+(\d+)/.exec(await mustRun('btrfs', ['filesystem', 'usage', '--raw', root]));
  if (told === null) throw new Error('btrfs filesystem usage does not tell what is allocated');
  return Number(told[1]);
}

/** Has the mounted file system take all of its file, whatever size that had before. */
export async function useWhole(image: string, root: string): Promise<void> {
  const device = (await mustRun('losetup', ['--noheadings', '--output', 'NAME', '--associated', image])).trim().split('\n')[0]!.trim();
  await mustRun('losetup', ['--set-capacity', device]);
  await mustRun('btrfs', ['filesystem', 'resize', 'max', root]);
}

/** Whether blocks of a file are still to be found when they are written. */
export async function isSparse(image: string): Promise<boolean> {
  const { size, blocks } = await stat(image);
  return blocks * 512 < size;
}

/** Gives a file all its blocks. `false`: this file system cannot, or has too few. */
export async function ownBlocks(image: string): Promise<boolean> {
  if (!(await isSparse(image))) return true;
  const { size } = await stat(image);
  return mustRun('fallocate', ['--length', String(size), image]).then(
    () => true,
    () => false,
  );
}
