import {
  chmodSync,
  chownSync,
  mkdirSync,
  openSync,
  closeSync,
  rmSync,
  writeSync,
  constants,
  readdirSync,
} from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { guestHome, guestUser } from '../../../core/ports/sandbox-provider.ts';
import { realDirectory } from '../../templates/assemble.ts';
import type { Template } from '../../templates/template.ts';
import { chownTree } from './chown-tree.ts';
import { guestStatePath } from './runner-process.ts';

/** Of a disk whose root is an overlay on a template, and whose home is a directory of its own. */
export interface DiskLayout {
  upper: string;
  work: string;
  home: string;
}

/** Lays out a new, empty disk. Synchronous calls: a handful on a fresh directory, in less time than their scheduling. */
export async function layOutDisk(disk: DiskLayout, template: Template): Promise<void> {
  for (const directory of [disk.upper, disk.work, disk.home]) makeDirectory(directory, 0o755);
  chownSync(disk.home, guestUser.uid, guestUser.gid);
  let path = disk.upper;
  for (const name of guestStatePath.split('/').filter(Boolean)) {
    path = join(path, name);
    makeDirectory(path, 0o755);
  }
  chmodSync(path, 0o700);
  chownSync(path, guestUser.uid, guestUser.gid);
  await copyTemplateHome(realDirectory(template.rootfs, guestHome), disk.home);
}

/** The home is a directory of its own, so what the template has there would be hidden. */
async function copyTemplateHome(source: string | null, home: string): Promise<void> {
  if (source === null || readdirSync(source).length === 0) return;
  await cp(source, home, {
    recursive: true,
    verbatimSymlinks: true,
    preserveTimestamps: true,
    mode: constants.COPYFILE_FICLONE,
  });
  chownTree(home, guestUser.uid, guestUser.gid);
}

function makeDirectory(path: string, mode: number): void {
  mkdirSync(path, { mode });
  chmodSync(path, mode);
}
