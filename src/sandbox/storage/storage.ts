import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Finding } from '../../core/ports/sandbox-provider.ts';
import { isBtrfs, openBtrfs } from './btrfs.ts';
import { openDirectories } from './directory.ts';
import { defaultRoom, type RoomSettings } from './image-room.ts';
import { inspectLoopImage, mountLoopImage, openImage } from './loop-image.ts';

/**
 * Where the disks of sandboxes are. Each disk is a directory that counts as a unit: it has a limit
 * and a size of its own where the backend has those.
 */
export interface Storage {
  readonly kind: StorageKind;
  readonly root: string;
  /** Whether `createDisk` enforces a limit. */
  readonly limitsDisk: boolean;
  /** Makes an empty disk and resolves to its path. Throws when it exists. */
  createDisk(id: string, signal: AbortSignal): Promise<string>;
  limitDisk(id: string, sizeBytes: number, signal: AbortSignal): Promise<void>;
  /** Idempotent. */
  removeDisk(id: string): Promise<void>;
  listDisks(): Promise<string[]>;
  /** Bytes that the disk takes. Right after a write it may lag by one commit of the file system. */
  diskUsage(id: string, signal: AbortSignal): Promise<number>;
  diskPath(id: string): string;
  /** Objects lent to a sandbox, outside its disk and its limit. */
  objectsPath(id: string): string;
  /** Resolves to the bytes that are free for new data, after an image that has fewer than these was made larger, where the machine's disk lets it. */
  makeRoom(bytes: number): Promise<number>;
  close(): Promise<void>;
}

export type StorageKind = 'btrfs' | 'btrfs-image' | 'directory';
/** `auto`: the first that works of the three. */
export type StorageChoice = 'auto' | StorageKind;

export const storageDirectory = 'storage';

/**
 * Opens the storage of a data directory, making it at first use. Idempotent; after a reboot it
 * mounts what is there. A choice other than `auto` that does not work throws instead of taking the next.
 */
export async function openStorage(dataDir: string, choice: StorageChoice, room: RoomSettings = defaultRoom): Promise<Storage> {
  const root = join(dataDir, storageDirectory);
  await mkdir(root, { recursive: true, mode: 0o700 });
  const plan = await planStorage(dataDir, choice);
  if (plan.kind === 'directory') return openDirectories(root);
  if (plan.kind === 'btrfs') return openBtrfs(root, 'btrfs', null);
  const image = await mountLoopImage(dataDir, root, room.wantedBytes);
  return openBtrfs(root, 'btrfs-image', await openImage(image, root, room));
}

export interface StoragePlan {
  kind: StorageKind;
  finding: Finding;
}

/** What `openStorage` would take, and why. Changes nothing. Throws for a choice that cannot work. */
export async function planStorage(dataDir: string, choice: StorageChoice): Promise<StoragePlan> {
  const subject = 'storage';
  if ((choice === 'auto' || choice === 'btrfs') && (await isBtrfs(dataDir))) {
    return {
      kind: 'btrfs',
      finding: {
        subject,
        status: 'ok',
        detected: `${dataDir} is on btrfs`,
        choice: 'a subvolume with a quota per sandbox: disk limits are enforced and snapshots are instant',
        advice: null,
      },
    };
  }
  const image = await inspectLoopImage(dataDir);
  if ((choice === 'auto' || choice === 'btrfs-image') && image.problem === null) {
    return {
      kind: 'btrfs-image',
      finding: {
        subject,
        status: 'ok',
        detected: image.detected,
        choice: `btrfs in the file ${image.path}, which grows and shrinks with what is in it: disk limits are enforced and snapshots are instant`,
        advice: `put ${dataDir} on a btrfs volume of its own to save the loop device's cost`,
      },
    };
  }
  if (choice === 'auto' || choice === 'directory') {
    return {
      kind: 'directory',
      finding: {
        subject,
        status: 'degraded',
        detected: choice === 'directory' ? 'plain directories were asked for' : (image.problem ?? image.detected),
        choice: 'plain directories: no disk limit (a sandbox with one is refused) and slow copies',
        advice: `install btrfs-progs and allow loop devices, or put ${dataDir} on btrfs`,
      },
    };
  }
  throw new Error(`storage "${choice}" cannot be used on ${dataDir}: ${image.problem ?? 'it is not on btrfs'}`);
}
