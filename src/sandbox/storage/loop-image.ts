import { existsSync } from 'node:fs';
import { chmod, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import { findProgram } from '../find-program.ts';
import { isMounted } from '../mount-table.ts';
import { mustRun, runCommand } from '../run-command.ts';
import { freeBytesAt } from '../free-bytes.ts';
import { createImageRoom, isSparse, ownBlocks, useWhole, type ImageRoom, type RoomSettings } from './image-room.ts';

const imageName = 'storage.btrfs';
/** Of the free space, at most, that the image takes ahead when it is made. */
const shareAhead = 0.25;
/** Of the free space, at most, that the smallest image may take. */
const shareOfFreeSpace = 0.8;
/** Below this mkfs.btrfs makes a file system of another kind (mixed), which has no working quota. */
const minImageBytes = 512 * 1024 * 1024;
/** What an empty file system of btrfs has for itself, about. */
const ownBytes = 128 * 1024 * 1024;

export interface LoopImageReport {
  path: string;
  detected: string;
  /** Why an image cannot be used here; `null` when it can. */
  problem: string | null;
}

export async function inspectLoopImage(dataDir: string): Promise<LoopImageReport> {
  const path = join(dataDir, imageName);
  const detected = existsSync(path) ? `the image ${path} exists` : 'mkfs.btrfs and loop devices are there';
  const problem = await findProblem();
  return { path, detected, problem };
}

async function findProblem(): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'mounting needs root';
  for (const program of ['mkfs.btrfs', 'btrfs', 'losetup', 'mount']) {
    if ((await findProgram(program)) === null) return `${program} is not installed`;
  }
  if (!existsSync('/dev/loop-control')) return 'there are no loop devices';
  return null;
}

/** Makes the image at first use, with so much room at least where the disk has it, and mounts it at `root`. No-op when that is done. Resolves to its path. */
export async function mountLoopImage(dataDir: string, root: string, roomBytes: number): Promise<string> {
  const path = join(dataDir, imageName);
  if (await isMounted(root)) return path;
  if (!existsSync(path)) await makeImage(dataDir, path, roomBytes);
  const device = await attach(path);
  try {
    // Blocks that it gave back would be anybody's; see image-room.ts.
    await mustRun('mount', ['-t', 'btrfs', '-o', 'noatime,nodiscard', device, root]);
    // The directory that it covers is closed to others, and its own root is not.
    await chmod(root, 0o700);
  } finally {
    // From here on the mount alone holds the device, and unmounting frees it.
    await runCommand('losetup', ['--detach', device]);
  }
  return path;
}

/** Beside and renamed, so that a crash leaves no image that only looks whole. */
async function makeImage(dataDir: string, path: string, roomBytes: number): Promise<void> {
  const freeBytes = await freeBytesAt(dataDir);
  if (freeBytes * shareOfFreeSpace < minImageBytes) {
    throw new BerthError('resource_exhausted', `${dataDir} has too little free space for the sandboxes' disks`, {
      context: { freeBytes },
    });
  }
  const beside = `${path}.new`;
  await rm(beside, { force: true });
  const file = await open(beside, 'wx', 0o600);
  try {
    const aheadBytes = Math.floor((freeBytes * shareAhead) / 4096) * 4096;
    await file.truncate(Math.max(minImageBytes, Math.min(roomBytes + ownBytes, aheadBytes)));
  } finally {
    await file.close();
  }
  await ownBlocks(beside);
  // Metadata once: the file system below already has whatever redundancy this machine has.
  await mustRun('mkfs.btrfs', ['--quiet', '--nodiscard', '--metadata', 'single', '--data', 'single', '--label', 'berth', beside]);
  await rename(beside, path);
}

async function attach(path: string): Promise<string> {
  // One device per image: btrfs must never see the same blocks through two.
  const attached = (await mustRun('losetup', ['--noheadings', '--output', 'NAME', '--associated', path])).trim();
  if (attached !== '') return attached.split('\n')[0]!.trim();
  // Past the lower file system's cache, which would hold every block a second time.
  const direct = await runCommand('losetup', ['--find', '--show', '--direct-io=on', path]);
  if (direct.exitCode === 0) return direct.stdout.trim();
  return (await mustRun('losetup', ['--find', '--show', path])).trim();
}

/**
 * Has an image that is mounted own its blocks, and looks after how large it is. One of an earlier version, sparse and large, is made
 * smaller first; where its file system cannot give it all blocks at once, it stays as it is.
 */
export async function openImage(image: string, root: string, settings: RoomSettings): Promise<ImageRoom> {
  await mustRun('mount', ['-o', 'remount,nodiscard', root]);
  // Also what a crash left between two steps of a change of size.
  await useWhole(image, root);
  const room = createImageRoom(image, root, settings);
  if (await isSparse(image)) await room.fit().catch(() => {});
  if (await ownBlocks(image)) room.keep();
  return room;
}
