import { existsSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { SandboxStatus, SnapshotInfo } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { createDisk, nextDiskName, seal } from './disk.ts';
import type { Installation } from './installation.ts';
import { seenByMachine } from './machine.ts';
import { liveProcess } from '../../microvm/processes.ts';
import { openQmp, type Qmp } from './qmp.ts';
import { readRecord, writeRecord } from '../_shared/record-file.ts';
import { snapshotRecord, type SandboxRecord, type SnapshotRecord } from './record.ts';
import { recordOf, sandboxIds, type SandboxParts } from './sandbox.ts';

const freezeMs = 20_000;

/**
 * Makes what a sandbox has written so far a layer, on which it goes on with a new file; resolves to its layers. The file has both
 * names until the record has the new one: after a crash the record tells what the sandbox goes on with, see `recoverDisk`.
 */
export async function freezeDisk(
  installation: Installation,
  parts: SandboxParts,
  record: SandboxRecord,
  status: SandboxStatus,
  signal: AbortSignal,
): Promise<SandboxRecord> {
  const { layers, files } = installation;
  const { directory } = parts.paths;
  const [old, disk] = [join(directory, record.disk), nextDiskName(record.disk)];
  const layer = await layers.add(old);
  const path = join(directory, disk);
  const next: SandboxRecord = { ...record, disk, layers: [layer, ...record.layers] };
  await createDisk(path, { file: seenByMachine(files, layers.path(layer)), format: 'qcow2' }, record.shape.diskBytes, record.uid);
  await writeRecord(parts.paths.record, next);
  if (status === 'running' || status === 'paused') {
    try {
      await switchDisk(installation, parts, seenByMachine(files, path), status === 'running', signal);
    } catch (error) {
      await writeRecord(parts.paths.record, record);
      await rm(path, { force: true });
      await rm(layers.path(layer), { force: true });
      throw error;
    }
  }
  await seal(layers.path(layer));
  await rm(old);
  return next;
}

/** The guest's file system stands still meanwhile, so that the layer is whole. */
async function switchDisk({ control }: Installation, { sockets }: SandboxParts, file: string, running: boolean, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.timeout(freezeMs);
  // A guest that does not hold still is copied as after a power cut.
  if (running) await control.tell(sockets.control, ['freeze'], AbortSignal.any([signal, limit])).catch(() => signal.throwIfAborted());
  try {
    const qmp = await openQmp(sockets.monitor, limit);
    try {
      const node = await activeNode(qmp);
      await qmp.run('blockdev-snapshot-sync', {
        'node-name': node.name,
        'snapshot-file': file,
        'snapshot-node-name': `own-${Date.now()}`,
        format: 'qcow2',
        mode: 'existing',
      });
    } finally {
      qmp.close();
    }
  } finally {
    if (running) await control.tell(sockets.control, ['thaw'], AbortSignal.timeout(freezeMs)).catch(() => {});
  }
}

const blocks = z.array(
  z.looseObject({
    qdev: z.string().optional(),
    inserted: z.looseObject({ 'node-name': z.string(), file: z.string() }).optional(),
  }),
);

/** What the machine writes now. */
async function activeNode(qmp: Qmp): Promise<{ name: string; file: string }> {
  const found = blocks.parse(await qmp.run('query-block')).find((block) => block.qdev?.includes('own-device'));
  if (found?.inserted === undefined) throw new BerthError('upstream_failed', 'the machine has no disk');
  return { name: found.inserted['node-name'], file: found.inserted.file };
}

/** After a crash: what a live machine writes is its disk, whatever the record says; and what is in nobody's record goes. */
export async function recoverDisk(installation: Installation, parts: SandboxParts, record: SandboxRecord): Promise<void> {
  let current = record;
  if ((await liveProcess(parts.paths.process)) !== null) {
    const signal = AbortSignal.timeout(freezeMs);
    await installation.control.tell(parts.sockets.control, ['thaw'], AbortSignal.timeout(1000)).catch(() => {});
    const qmp = await openQmp(parts.sockets.monitor, signal);
    const { file } = await activeNode(qmp).finally(() => qmp.close());
    const name = file.split('/').at(-1)!;
    if (name !== record.disk && existsSync(join(parts.paths.directory, name))) {
      current = { ...record, disk: name, layers: record.layers.slice(1) };
      await writeRecord(parts.paths.record, current);
    }
  }
  for (const name of await readdir(parts.paths.directory)) {
    if (/^disk-.*\.qcow2/.test(name) && name !== current.disk) await rm(join(parts.paths.directory, name));
  }
  if (current.layers[0] !== undefined) await seal(installation.layers.path(current.layers[0]));
}

const snapshotPath = (installation: Installation, id: string) => join(installation.snapshotsDir, `${id}.json`);

export function snapshotOf(installation: Installation, id: string): Promise<SnapshotRecord | null> {
  return readRecord(snapshotPath(installation, id), snapshotRecord);
}

export async function writeSnapshot(installation: Installation, snapshot: SnapshotRecord): Promise<void> {
  await writeRecord(snapshotPath(installation, snapshot.id), snapshot);
}

export async function snapshotIds(installation: Installation): Promise<string[]> {
  const names = await readdir(installation.snapshotsDir);
  return names.filter((name) => /^[a-z].*\.json$/.test(name)).map((name) => name.slice(0, -'.json'.length));
}

export async function describeSnapshot(installation: Installation, snapshot: SnapshotRecord): Promise<SnapshotInfo> {
  const [top] = snapshot.layers;
  const file = top === undefined ? null : await stat(installation.layers.path(top)).catch(() => null);
  return {
    id: snapshot.id,
    sandboxId: snapshot.sandboxId,
    template: snapshot.template.name,
    memory: false,
    sizeBytes: file === null ? null : file.blocks * 512,
    createdAt: snapshot.createdAt,
  };
}

export async function removeSnapshot(installation: Installation, id: string): Promise<void> {
  await rm(snapshotPath(installation, id), { force: true });
}

/** Layers that no disk and no snapshot has any more. */
export async function removeUnused(installation: Installation): Promise<void> {
  const named = new Set<string>();
  for (const id of await sandboxIds(installation)) {
    for (const layer of (await recordOf(installation, id))?.layers ?? []) named.add(layer);
  }
  for (const id of await snapshotIds(installation)) {
    for (const layer of (await snapshotOf(installation, id))?.layers ?? []) named.add(layer);
  }
  await installation.layers.removeBut(named);
}
