import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '../../../protocol/ids.ts';
import { whileFrozen } from '../../microvm/driver/frozen.ts';
import type { Disks, Machines, Sandbox, Snapshots } from '../../microvm/driver/machines.ts';
import { snapshotRecord, type SnapshotRecord } from '../../microvm/driver/record.ts';
import type { SandboxStatus } from '../../../core/ports/sandbox-provider.ts';
import { readRecord, writeRecord } from '../_shared/record-file.ts';
import { copyDisk } from './disk.ts';
import type { FirecrackerInstallation } from './installation.ts';
import { fileNames } from './paths.ts';
import type { FirecrackerKind } from './record.ts';

/** Disks as files of their own: a fork or a snapshot is a copy. */
export function createDisks({ control, images, snapshotsDir }: FirecrackerInstallation): Pick<Machines<FirecrackerKind>, 'disks' | 'snapshots'> {
  const diskOf = ({ paths }: Sandbox<FirecrackerKind>) => join(paths.directory, fileNames.disk);
  /** A snapshot is a directory with a disk and, once that is whole, a record. */
  const directoryOf = (id: string) => join(snapshotsDir, id);
  const recordPath = (id: string) => join(directoryOf(id), 'snapshot.json');
  const snapshotDisk = (id: string) => join(directoryOf(id), fileNames.disk);
  const findSnapshot = (id: string): Promise<SnapshotRecord | null> => readRecord(recordPath(id), snapshotRecord);

  /** A failure leaves nothing. */
  async function copyInto(id: string, sandbox: Sandbox<FirecrackerKind>, status: SandboxStatus, signal: AbortSignal): Promise<void> {
    await removeSnapshot(id);
    await mkdir(directoryOf(id), { mode: 0o700 });
    try {
      await whileFrozen(control, sandbox, status, signal, () => copyDisk(diskOf(sandbox), snapshotDisk(id), signal));
    } catch (error) {
      await removeSnapshot(id);
      throw error;
    }
  }

  /** The record first: what has none is no snapshot. */
  async function removeSnapshot(id: string): Promise<void> {
    await rm(recordPath(id), { force: true });
    await rm(directoryOf(id), { recursive: true, force: true });
  }

  const disks: Disks<FirecrackerKind> = {
    record: (base) => base,
    async make(sandbox, origin, signal) {
      await copyDisk(origin ?? (await images.blank(sandbox.record.limits.diskBytes, signal)), diskOf(sandbox), signal);
    },
    path: diskOf,
    async lend(source, signal) {
      // Only read, and held by the caller's lock: it needs no copy of its own.
      if ('snapshot' in source) return { origin: snapshotDisk(source.snapshot.id), release: () => Promise.resolve() };
      // As a snapshot that never gets its record: what a crash leaves of it goes.
      const id = newId('snapshot');
      await copyInto(id, source.sandbox, source.status, signal);
      return { origin: snapshotDisk(id), release: () => removeSnapshot(id) };
    },
    async recover({ paths }) {
      for (const name of await readdir(paths.directory)) {
        if (name.endsWith('.new')) await rm(join(paths.directory, name), { force: true });
      }
    },
    forget: () => Promise.resolve(),
  };

  const snapshots: Snapshots<FirecrackerKind> = {
    find: findSnapshot,
    async list() {
      const found = await Promise.all((await readdir(snapshotsDir)).map(findSnapshot));
      return found.filter((snapshot) => snapshot !== null);
    },
    async take(snapshot, sandbox, status, signal) {
      await copyInto(snapshot.id, sandbox, status, signal);
      await writeRecord(recordPath(snapshot.id), snapshot);
      return snapshot;
    },
    async sizeBytes({ id }) {
      const disk = await stat(snapshotDisk(id)).catch(() => null);
      // Where blocks are shared nobody counts what is its own.
      return disk === null ? null : disk.blocks * 512;
    },
    remove: removeSnapshot,
    async recover() {
      for (const id of await readdir(snapshotsDir)) if ((await findSnapshot(id)) === null) await removeSnapshot(id);
    },
  };
  return { disks, snapshots };
}
