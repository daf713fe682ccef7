import { existsSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { SandboxStatus } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { whileFrozen } from '../../microvm/driver/frozen.ts';
import type { Disks, Machines, Sandbox, Snapshots } from '../../microvm/driver/machines.ts';
import { liveProcess } from '../../microvm/processes.ts';
import { createKeyLock } from '../_shared/key-lock.ts';
import { readRecord, writeRecord } from '../_shared/record-file.ts';
import { createDisk, firstDiskName, nextDiskName, seal, type Base } from './disk.ts';
import type { QemuInstallation } from './installation.ts';
import { seenByMachine } from './machine.ts';
import type { Qmp } from './qmp.ts';
import { sandboxRecord, snapshotRecord, type QemuKind } from './record.ts';

export type WithMonitor = <T>(id: string, signal: AbortSignal, use: (qmp: Qmp) => Promise<T>) => Promise<T>;

const switchMs = 20_000;

/** Disks as stacks of layers: a fork or a snapshot makes what was written so far a layer, which nobody writes again. */
export function createDisks(installation: QemuInstallation, withMonitor: WithMonitor): Pick<Machines<QemuKind>, 'disks' | 'snapshots'> {
  const { layers, files, snapshotsDir, sandboxesDir, images } = installation;
  const lock = createKeyLock();
  /** Held by whoever makes layers or removes them. */
  const alone = <T>(run: () => Promise<T>) => lock.run('layers', run);
  const snapshotPath = (id: string) => join(snapshotsDir, `${id}.json`);

  async function baseOf(record: QemuKind['record'], signal: AbortSignal): Promise<Base> {
    const [top] = record.layers;
    if (top !== undefined) return { file: seenByMachine(files, layers.path(top)), format: 'qcow2' };
    return { file: seenByMachine(files, await images.blank(record.limits.diskBytes, signal)), format: 'raw' };
  }

  /**
   * Makes what a sandbox has written so far a layer, on which it goes on with a new file; resolves to its layers. The file has both
   * names until the record has the new one: after a crash the record tells what the sandbox goes on with, see `recover`.
   */
  async function freeze(sandbox: Sandbox<QemuKind>, status: SandboxStatus, signal: AbortSignal): Promise<readonly string[]> {
    const { paths, record } = sandbox;
    const [old, disk] = [join(paths.directory, record.disk), nextDiskName(record.disk)];
    const layer = await layers.add(old);
    const path = join(paths.directory, disk);
    const next = { ...record, disk, layers: [layer, ...record.layers] };
    await createDisk(path, { file: seenByMachine(files, layers.path(layer)), format: 'qcow2' }, record.shape.diskBytes, record.uid);
    await writeRecord(paths.record, next);
    if (status === 'running' || status === 'paused') {
      try {
        await whileFrozen(installation.control, sandbox, status, signal, () => switchDisk(sandbox.id, seenByMachine(files, path)));
      } catch (error) {
        await writeRecord(paths.record, record);
        await rm(path, { force: true });
        await rm(layers.path(layer), { force: true });
        throw error;
      }
    }
    await seal(layers.path(layer));
    await rm(old);
    return next.layers;
  }

  async function switchDisk(id: string, file: string): Promise<void> {
    await withMonitor(id, AbortSignal.timeout(switchMs), async (qmp) => {
      const node = await activeNode(qmp);
      await qmp.run('blockdev-snapshot-sync', {
        'node-name': node.name,
        'snapshot-file': file,
        'snapshot-node-name': `own-${Date.now()}`,
        format: 'qcow2',
        mode: 'existing',
      });
    });
  }

  const findSnapshot = (id: string) => readRecord(snapshotPath(id), snapshotRecord);

  async function listSnapshots(): Promise<QemuKind['snapshot'][]> {
    const names = (await readdir(snapshotsDir)).filter((name) => /^[a-z].*\.json$/.test(name));
    const found = await Promise.all(names.map((name) => findSnapshot(name.slice(0, -'.json'.length))));
    return found.filter((snapshot) => snapshot !== null);
  }

  /** Removes layers that no disk and no snapshot has any more. */
  async function removeUnused(): Promise<void> {
    const records = await Promise.all((await readdir(sandboxesDir)).map((id) => readRecord(join(sandboxesDir, id, 'sandbox.json'), sandboxRecord)));
    const named = [...records.map((record) => record?.layers ?? []), ...(await listSnapshots()).map((snapshot) => snapshot.layers)];
    await layers.removeBut(new Set(named.flat()));
  }

  const disks: Disks<QemuKind> = {
    record: (base, origin) => ({ ...base, disk: firstDiskName, layers: [...(origin ?? [])] }),
    async make({ paths, record }, _origin, signal) {
      await createDisk(join(paths.directory, record.disk), await baseOf(record, signal), record.limits.diskBytes, record.uid);
    },
    path: ({ paths, record }) => join(paths.directory, record.disk),
    async lend(source, signal) {
      const origin = 'snapshot' in source ? source.snapshot.layers : await alone(() => freeze(source.sandbox, source.status, signal));
      return { origin, release: () => Promise.resolve() };
    },

    /** What a live machine writes is its disk, whatever the record says; and what is in nobody's record goes. */
    async recover({ id, paths, record }) {
      let current = record;
      if ((await liveProcess(paths.process)) !== null) {
        const { file } = await withMonitor(id, AbortSignal.timeout(switchMs), activeNode);
        const name = file.split('/').at(-1)!;
        if (name !== record.disk && existsSync(join(paths.directory, name))) {
          current = { ...record, disk: name, layers: record.layers.slice(1) };
          await writeRecord(paths.record, current);
        }
      }
      for (const name of await readdir(paths.directory)) {
        if (/^disk-.*\.qcow2/.test(name) && name !== current.disk) await rm(join(paths.directory, name));
      }
      if (current.layers[0] !== undefined) await seal(layers.path(current.layers[0]));
    },
    async forget({ layers: had }) {
      if (had.length > 0) await alone(removeUnused);
    },
  };

  const snapshots: Snapshots<QemuKind> = {
    find: findSnapshot,
    list: listSnapshots,
    async take(base, sandbox, status, signal) {
      return alone(async () => {
        const snapshot = { ...base, layers: [...(await freeze(sandbox, status, signal))] };
        await writeRecord(snapshotPath(snapshot.id), snapshot);
        return snapshot;
      });
    },
    async sizeBytes(snapshot) {
      const [top] = snapshot.layers;
      const file = top === undefined ? null : await stat(layers.path(top)).catch(() => null);
      return file === null ? null : file.blocks * 512;
    },
    async remove(id) {
      await rm(snapshotPath(id), { force: true });
      await alone(removeUnused);
    },
    recover: () => alone(removeUnused),
  };
  return { disks, snapshots };
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
