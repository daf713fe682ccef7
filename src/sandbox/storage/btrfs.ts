import { readdir, rm, rmdir, statfs } from 'node:fs/promises';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { freeBytesAt } from '../free-bytes.ts';
import { mustRun, runCommand } from '../run-command.ts';
import type { ImageRoom } from './image-room.ts';
import type { Storage } from './storage.ts';

/** BTRFS_SUPER_MAGIC of linux/magic.h. */
const btrfsMagic = 0x9123_683e;

/** Whether a path, or the nearest parent that exists, is on btrfs. */
export async function isBtrfs(path: string): Promise<boolean> {
  let existing = path;
  while (!existsSync(existing)) existing = dirname(existing);
  return (await statfs(existing)).type === btrfsMagic;
}

/**
 * Disks as subvolumes with a quota group each. Subvolumes can also be made by any user through an
 * ioctl, outside the group of their parent: the sandbox's seccomp profile refuses that ioctl.
 */
/** `room`: of the image that it is in; `null`: it has a device of its own. */
export async function openBtrfs(root: string, kind: 'btrfs' | 'btrfs-image', room: ImageRoom | null): Promise<Storage> {
  const disks = join(root, 'sandboxes');
  const objects = join(root, 'objects');
  for (const directory of [disks, objects]) mkdirSync(directory, { recursive: true, mode: 0o711 });
  await enableQuota(root);
  const diskPath = (id: string) => join(disks, id);
  return {
    kind,
    root,
    limitsDisk: true,
    diskPath,
    objectsPath: (id) => join(objects, id),
    async createDisk(id, signal) {
      const path = diskPath(id);
      await mustRun('btrfs', ['subvolume', 'create', path], { signal });
      return path;
    },
    async limitDisk(id, sizeBytes, signal) {
      await mustRun('btrfs', ['qgroup', 'limit', String(sizeBytes), diskPath(id)], { signal });
    },
    async removeDisk(id) {
      await removeSubvolume(diskPath(id));
      await rm(join(objects, id), { recursive: true, force: true });
    },
    listDisks: () => readdir(disks),
    diskUsage: (id, signal) => qgroupUsage(diskPath(id), signal),
    async makeRoom(bytes) {
      return room === null ? freeBytesAt(root) : room.make(bytes);
    },
    async close() {
      await room?.close();
    },
  };
}

async function enableQuota(root: string): Promise<void> {
  if ((await runCommand('btrfs', ['qgroup', 'show', root])).exitCode === 0) return;
  await mustRun('btrfs', ['quota', 'enable', root]);
}

export async function removeSubvolume(path: string): Promise<void> {
  if (!existsSync(path)) return;
  const id = await qgroupId(path);
  if (id === null) {
    // A plain directory: a create that was killed before its subvolume was made, or one brought by hand.
    await rm(path, { recursive: true, force: true });
    return;
  }
  const removal = await runCommand('btrfs', ['subvolume', 'delete', path]);
  if (removal.exitCode !== 0) {
    // Subvolumes nested below keep it from being deleted; an ordinary removal takes those too.
    await rm(path, { recursive: true, force: true });
    if (existsSync(path)) await rmdir(path);
  }
  // The group outlives its subvolume, and thousands of them slow every commit down. Refused until the
  // cleaner thread has run on some kernels, which then drop it by themselves.
  await runCommand('btrfs', ['qgroup', 'destroy', id, dirname(path)]);
}

/** `0/<subvolume id>`, or `null` when the path is not a subvolume's root. */
async function qgroupId(path: string): Promise<string | null> {
  const shown = await runCommand('btrfs', ['subvolume', 'show', path]);
  const id = /Subvolume ID:\s+(\d+)/.exec(shown.stdout)?.[1];
  return id === undefined ? null : `0/${id}`;
}

async function qgroupUsage(path: string, signal: AbortSignal): Promise<number> {
  const table = await mustRun('btrfs', ['qgroup', 'show', '--raw', '-f', path], { signal });
  const row = table.split('\n').find((line) => line.startsWith('0/'));
  const referenced = Number(row?.trim().split(/\s+/)[1]);
  if (!Number.isFinite(referenced)) throw new Error(`btrfs qgroup show printed no row for ${path}`);
  return referenced;
}
