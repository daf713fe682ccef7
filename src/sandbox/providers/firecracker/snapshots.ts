import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxStatus, SnapshotInfo } from '../../../core/ports/sandbox-provider.ts';
import { readRecord, writeRecord } from '../_shared/record-file.ts';
import { copyDisk } from './disk.ts';
import type { Installation } from './installation.ts';
import { snapshotRecord, type SnapshotRecord } from './record.ts';
import type { SandboxParts } from './sandbox.ts';

const freezeMs = 20_000;

/** Copies a sandbox's disk while its file system stands still, so that the copy is whole. */
export async function copyWhileFrozen(
  { control }: Installation,
  { paths, sockets }: SandboxParts,
  status: SandboxStatus,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  if (status !== 'running') return copyDisk(paths.disk, target, signal);
  // A guest that does not hold still is copied as after a power cut.
  await control.tell(sockets.control, ['freeze'], AbortSignal.any([signal, AbortSignal.timeout(freezeMs)])).catch(() => signal.throwIfAborted());
  try {
    await copyDisk(paths.disk, target, signal);
  } finally {
    await control.tell(sockets.control, ['thaw'], AbortSignal.timeout(freezeMs)).catch(() => {});
  }
}

/** A snapshot is a directory with a disk and, once that is whole, a record. */
const directoryOf = (installation: Installation, id: string) => join(installation.snapshotsDir, id);
const recordPath = (installation: Installation, id: string) => join(directoryOf(installation, id), 'snapshot.json');
export const snapshotDisk = (installation: Installation, id: string): string => join(directoryOf(installation, id), 'disk.img');

export function snapshotOf(installation: Installation, id: string): Promise<SnapshotRecord | null> {
  return readRecord(recordPath(installation, id), snapshotRecord);
}

/** `copy` makes the disk at the path that it is given. A failure leaves nothing. */
export async function makeSnapshot(installation: Installation, snapshot: SnapshotRecord, copy: (path: string) => Promise<void>): Promise<void> {
  const directory = directoryOf(installation, snapshot.id);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { mode: 0o700 });
  try {
    await copy(snapshotDisk(installation, snapshot.id));
    await writeRecord(recordPath(installation, snapshot.id), snapshot);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

export async function listSnapshots(installation: Installation): Promise<SnapshotRecord[]> {
  const found = await Promise.all((await readdir(installation.snapshotsDir)).map((id) => snapshotOf(installation, id)));
  return found.filter((snapshot) => snapshot !== null);
}

export async function describeSnapshot(installation: Installation, snapshot: SnapshotRecord): Promise<SnapshotInfo> {
  const disk = await stat(snapshotDisk(installation, snapshot.id)).catch(() => null);
  return {
    id: snapshot.id,
    sandboxId: snapshot.sandboxId,
    template: snapshot.template.name,
    memory: false,
    // Where blocks are shared nobody counts what is its own.
    sizeBytes: disk === null ? null : disk.blocks * 512,
    createdAt: snapshot.createdAt,
  };
}

/** The record first: what has none is no snapshot. */
export async function removeSnapshot(installation: Installation, id: string): Promise<void> {
  await rm(recordPath(installation, id), { force: true });
  await rm(directoryOf(installation, id), { recursive: true, force: true });
}

/** Removes what a crash left of making or removing one, and disks that were lent to forks. */
export async function recoverSnapshots(installation: Installation): Promise<void> {
  for (const id of await readdir(installation.snapshotsDir)) {
    if ((await snapshotOf(installation, id)) === null) await rm(directoryOf(installation, id), { recursive: true, force: true });
  }
}
