import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SnapshotInfo } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { mustRun } from '../../run-command.ts';
import { noCopies } from '../../storage/disk-copies.ts';
import type { Installation } from './installation.ts';
import { readRecord, sandboxRecord, type SandboxRecord } from './record.ts';
import type { SandboxParts } from './sandbox.ts';
import { atRest } from './stillness.ts';

/**
 * A snapshot is `<snapshots>/<id>/` with `disk` (a read-only copy), `objects` (hard links to what was lent) and
 * `snapshot.json`. It is made as `.<id>.new` and renamed; it goes as `.<id>.gone`. Names with a dot are nothing to
 * anyone, and removed when the installation is opened.
 */
interface SnapshotPaths {
  directory: string;
  disk: string;
  objects: string;
  record: string;
}

interface SnapshotRecord {
  source: SandboxRecord;
  createdAt: string;
}

function snapshotPaths(directory: string): SnapshotPaths {
  return {
    directory,
    disk: join(directory, 'disk'),
    objects: join(directory, 'objects'),
    record: join(directory, 'snapshot.json'),
  };
}

const finalPaths = (installation: Installation, id: string) => snapshotPaths(join(installation.snapshotsDir, id));

/** No-op when it is there. */
export async function takeSnapshot(
  installation: Installation,
  parts: SandboxParts,
  snapshotId: string,
  signal: AbortSignal,
): Promise<void> {
  const { copies } = installation;
  if (copies === null) throw noCopies();
  const final = finalPaths(installation, snapshotId);
  const present = await readSnapshotRecord(final);
  if (present !== null) {
    if (present.source.id === parts.id) return;
    throw new BerthError('conflict', `snapshot ${snapshotId} is of another sandbox, ${present.source.id}`, {
      field: 'snapshotId',
    });
  }
  const source = await readRecord(parts.paths.record);
  if (source === null) throw new BerthError('conflict', `sandbox ${parts.id} is broken`);
  const beside = snapshotPaths(join(installation.snapshotsDir, `.${snapshotId}.new`));
  await removeDirectory(installation, beside);
  await mkdir(beside.directory, { recursive: true, mode: 0o700 });
  try {
    await copyObjects(installation.storage.objectsPath(parts.id), beside.objects);
    await atRest(parts, signal, () =>
      copies.copy(installation.storage.diskPath(parts.id), beside.disk, { readOnly: true }),
    );
    const record: SnapshotRecord = { source, createdAt: new Date().toISOString() };
    await writeFile(beside.record, JSON.stringify(record), { mode: 0o600 });
    await mustRun('sync', ['--file-system', beside.directory]);
    signal.throwIfAborted();
    await rename(beside.directory, final.directory);
  } catch (error) {
    await removeDirectory(installation, beside);
    throw error;
  }
}

export async function listSnapshots(installation: Installation): Promise<SnapshotInfo[]> {
  if (!existsSync(installation.snapshotsDir)) return [];
  const ids = (await readdir(installation.snapshotsDir)).filter((name) => !name.startsWith('.'));
  const infos = await Promise.all(ids.map((id) => describe(installation, id)));
  return infos.filter((info) => info !== null);
}

/** Throws `not_found`. */
export async function snapshotInfo(installation: Installation, id: string): Promise<SnapshotInfo> {
  const info = await describe(installation, id);
  if (info === null) throw new BerthError('not_found', `there is no snapshot ${id}`, { context: { id } });
  return info;
}

export async function dropSnapshot(installation: Installation, id: string): Promise<void> {
  const final = finalPaths(installation, id);
  if (!existsSync(final.directory)) return;
  const gone = snapshotPaths(join(installation.snapshotsDir, `.${id}.gone`));
  await removeDirectory(installation, gone);
  await rename(final.directory, gone.directory);
  await removeDirectory(installation, gone);
}

/** What a fork is made from. Throws `not_found`. */
export async function snapshotSource(
  installation: Installation,
  id: string,
): Promise<{ disk: string; objects: string; record: SandboxRecord }> {
  const paths = finalPaths(installation, id);
  const record = await readSnapshotRecord(paths);
  if (record === null) throw new BerthError('not_found', `there is no snapshot ${id}`, { context: { id } });
  return { disk: paths.disk, objects: paths.objects, record: record.source };
}

/** Removes what a crash left half made or half removed. */
export async function recoverSnapshots(installation: Installation): Promise<void> {
  if (!existsSync(installation.snapshotsDir)) return;
  for (const name of await readdir(installation.snapshotsDir)) {
    if (name.startsWith('.')) await removeDirectory(installation, snapshotPaths(join(installation.snapshotsDir, name)));
  }
}

/** By hard link: git's objects never change. */
export async function copyObjects(source: string, target: string): Promise<void> {
  if (existsSync(source)) await mustRun('cp', ['--archive', '--link', '--', source, target]);
  else await mkdir(target, { recursive: true, mode: 0o755 });
}

async function describe(installation: Installation, id: string): Promise<SnapshotInfo | null> {
  const paths = finalPaths(installation, id);
  const record = await readSnapshotRecord(paths);
  if (record === null) return null;
  return {
    id,
    sandboxId: record.source.id,
    template: record.source.template.name,
    memory: false,
    sizeBytes: (await installation.copies?.exclusiveBytes(paths.disk)) ?? null,
    createdAt: record.createdAt,
  };
}

async function readSnapshotRecord(paths: SnapshotPaths): Promise<SnapshotRecord | null> {
  if (!existsSync(paths.record)) return null;
  const value = JSON.parse(await readFile(paths.record, 'utf8')) as SnapshotRecord;
  return { source: sandboxRecord.parse(value.source), createdAt: value.createdAt };
}

async function removeDirectory(installation: Installation, paths: SnapshotPaths): Promise<void> {
  if (!existsSync(paths.directory)) return;
  await installation.copies?.remove(paths.disk);
  await rm(paths.directory, { recursive: true, force: true });
}
