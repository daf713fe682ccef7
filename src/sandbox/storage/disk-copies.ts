import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import { removeSubvolume } from './btrfs.ts';
import { mustRun, runCommand } from '../run-command.ts';
import type { Storage } from './storage.ts';

/** Copies of whole disks that share their blocks with the original, whatever their size made in moments. */
export interface DiskCopies {
  copy(source: string, target: string, options: { readOnly: boolean }): Promise<void>;
  /** Idempotent. */
  remove(path: string): Promise<void>;
  /** Bytes that no other copy has; `null` where nobody counts. */
  exclusiveBytes(path: string): Promise<number | null>;
}

/** `null` where a copy would copy every byte. */
export async function openDiskCopies(storage: Storage): Promise<DiskCopies | null> {
  if (storage.kind !== 'directory') return btrfsCopies;
  return (await hasReflinks(storage.root)) ? reflinkCopies : null;
}

const btrfsCopies: DiskCopies = {
  async copy(source, target, { readOnly }) {
    await mustRun('btrfs', ['subvolume', 'snapshot', ...(readOnly ? ['-r'] : []), source, target]);
  },
  remove: removeSubvolume,
  async exclusiveBytes(path) {
    const { stdout } = await runCommand('btrfs', ['qgroup', 'show', '--raw', '-f', path]);
    const bytes = Number(
      stdout
        .split('\n')
        .find((line) => line.startsWith('0/'))
        ?.trim()
        .split(/\s+/)[2],
    );
    return Number.isFinite(bytes) ? bytes : null;
  },
};

const reflinkCopies: DiskCopies = {
  async copy(source, target) {
    await mustRun('cp', ['--archive', '--reflink=always', '--', source, target]);
  },
  remove: (path) => rm(path, { recursive: true, force: true }),
  exclusiveBytes: async () => null,
};

async function hasReflinks(directory: string): Promise<boolean> {
  const probe = join(directory, `.reflink-${process.pid}`);
  await mkdir(probe);
  try {
    await writeFile(join(probe, 'a'), 'a');
    return (await runCommand('cp', ['--reflink=always', join(probe, 'a'), join(probe, 'b')])).exitCode === 0;
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
}

export function noCopies(): BerthError {
  return new BerthError(
    'unsupported',
    'snapshots and forks need btrfs, or a file system with reflinks, below the data directory',
  );
}
