import { existsSync } from 'node:fs';
import { chmod, open, rename, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import { findProgram } from '../find-program.ts';
import { isMounted } from '../mount-table.ts';
import { mustRun, runCommand } from '../run-command.ts';

const imageName = 'storage.btrfs';
/** Of the free space when the image is made. It is sparse: nothing is taken until it is used. */
const shareOfFreeSpace = 0.8;
/** Below this mkfs.btrfs makes a file system of another kind (mixed), which has no working quota. */
const minImageBytes = 512 * 1024 * 1024;

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

/** Makes the image at first use and mounts it at `root`. No-op when that is done. */
export async function mountLoopImage(dataDir: string, root: string): Promise<void> {
  if (await isMounted(root)) return;
  const path = join(dataDir, imageName);
  if (!existsSync(path)) await makeImage(dataDir, path);
  const device = await attach(path);
  try {
    await mustRun('mount', ['-t', 'btrfs', '-o', 'noatime', device, root]);
    // The directory that it covers is closed to others, and its own root is not.
    await chmod(root, 0o700);
  } finally {
    // From here on the mount alone holds the device, and unmounting frees it.
    await runCommand('losetup', ['--detach', device]);
  }
}

/** Beside and renamed, so that a crash leaves no image that only looks whole. */
async function makeImage(dataDir: string, path: string): Promise<void> {
  const { bavail, bsize } = await statfs(dataDir);
  const sizeBytes = Math.floor((bavail * bsize * shareOfFreeSpace) / 4096) * 4096;
  if (sizeBytes < minImageBytes) {
    throw new BerthError('resource_exhausted', `${dataDir} has too little free space for the sandboxes' disks`, {
      context: { freeBytes: bavail * bsize },
    });
  }
  const beside = `${path}.new`;
  await rm(beside, { force: true });
  const file = await open(beside, 'wx', 0o600);
  try {
    await file.truncate(sizeBytes);
  } finally {
    await file.close();
  }
  // Metadata once: the file system below already has whatever redundancy this machine has.
  await mustRun('mkfs.btrfs', ['--quiet', '--metadata', 'single', '--data', 'single', '--label', 'berth', beside]);
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
