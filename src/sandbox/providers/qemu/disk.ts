import { randomBytes } from 'node:crypto';
import { chmod, chown, link, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from '../../run-command.ts';

/**
 * Disks are `qcow2` images: each is one file that is written, on top of files that never are again and that many disks share.
 * Those are in one directory that nobody can list, under names that nobody can guess, readable by every machine's user.
 */
export interface Layers {
  directory: string;
  path(layer: string): string;
  /** Makes a file a layer, under a second name: whoever has it open goes on with it. */
  add(file: string): Promise<string>;
  /** Removes those that are not named. Nothing may be made meanwhile that names another. */
  removeBut(named: ReadonlySet<string>): Promise<void>;
}

export async function openLayers(directory: string): Promise<Layers> {
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o711);
  const path = (layer: string) => join(directory, layer);
  return {
    directory,
    path,
    async add(file) {
      const name = `${randomBytes(16).toString('hex')}.qcow2`;
      await link(file, path(name));
      return name;
    },
    async removeBut(named) {
      for (const name of await readdir(directory)) if (!named.has(name)) await rm(path(name), { force: true });
    },
  };
}

export interface Base {
  file: string;
  format: 'raw' | 'qcow2';
}

/** A new, empty image on top of another, for a machine's user. */
export async function createDisk(path: string, base: Base, sizeBytes: number, uid: number): Promise<void> {
  const beside = `${path}.new`;
  await rm(beside, { force: true });
  // A running machine may have the base open, and it is as good as it says it is.
  const args = ['create', '-q', '-u', '-f', 'qcow2', '-F', base.format, '-b', base.file, beside, String(sizeBytes)];
  await mustRun('qemu-img', args);
  await chown(beside, uid, uid);
  await chmod(beside, 0o600);
  await rename(beside, path);
}

/** What a layer must be for machines of other users to read it. */
export async function seal(path: string): Promise<void> {
  await chown(path, 0, 0);
  await chmod(path, 0o444);
}

/** The next name for a sandbox's own file. */
export function nextDiskName(name: string): string {
  return `disk-${Number(/\d+/.exec(name)?.[0] ?? 0) + 1}.qcow2`;
}

export const firstDiskName = 'disk-0.qcow2';

