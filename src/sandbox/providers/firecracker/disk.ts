import { rename, rm } from 'node:fs/promises';
import { mustRun } from '../../run-command.ts';

/**
 * A disk's copy, beside and renamed. It shares its blocks where the host's file system can (btrfs, XFS); elsewhere what is
 * written is copied and what is empty stays a hole.
 */
export async function copyDisk(source: string, target: string, signal: AbortSignal): Promise<void> {
  const beside = `${target}.new`;
  try {
    await mustRun('cp', ['--reflink=auto', '--sparse=always', '--', source, beside], { signal });
    await mustRun('chmod', ['600', '--', beside]);
    await mustRun('sync', ['--', beside]);
    await rename(beside, target);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
