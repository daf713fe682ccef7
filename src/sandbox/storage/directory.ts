import { mkdirSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import { freeBytesAt } from '../free-bytes.ts';
import { runCommand } from '../run-command.ts';
import type { Storage } from './storage.ts';

/** Disks as plain directories, for hosts without btrfs: no limit, and their size is counted file by file. */
export function openDirectories(root: string): Storage {
  const disks = join(root, 'sandboxes');
  const objects = join(root, 'objects');
  for (const directory of [disks, objects]) mkdirSync(directory, { recursive: true, mode: 0o711 });
  const diskPath = (id: string) => join(disks, id);
  return {
    kind: 'directory',
    root,
    limitsDisk: false,
    diskPath,
    objectsPath: (id) => join(objects, id),
    async createDisk(id) {
      await mkdir(diskPath(id), { mode: 0o755 });
      return diskPath(id);
    },
    async limitDisk() {
      throw new BerthError('invalid_request', 'this host enforces no disk limit', { field: 'limits.diskBytes' });
    },
    async removeDisk(id) {
      await rm(diskPath(id), { recursive: true, force: true });
      await rm(join(objects, id), { recursive: true, force: true });
    },
    listDisks: () => readdir(disks),
    async diskUsage(id, signal) {
      // Files come and go while it counts, which it reports by its exit code.
      const { stdout } = await runCommand('du', ['--summarize', '--block-size=1', '--one-file-system', diskPath(id)], {
        signal,
      });
      const bytes = Number.parseInt(stdout, 10);
      if (!Number.isFinite(bytes)) throw new BerthError('upstream_failed', `du counted nothing in ${diskPath(id)}`);
      return bytes;
    },
    makeRoom: () => freeBytesAt(root),
    async close() {},
  };
}
