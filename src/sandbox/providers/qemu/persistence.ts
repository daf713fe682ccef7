import { readFile, rm } from 'node:fs/promises';
import type { SandboxInfo, SandboxProvider, SandboxSpec } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { waitForHealth } from '../../microvm/guest-health.ts';
import type { KeyLock } from '../_shared/key-lock.ts';
import { checkId, forkIds } from '../_shared/spec-check.ts';
import { hibernateSandbox, syncGuest, wakeSandbox } from './hibernation.ts';
import { openQmp } from './qmp.ts';
import type { SandboxRecord } from './record.ts';
import { markPaused } from './recovery.ts';
import { describeSandbox, makeSandbox, recordOf, removeSandbox, sandboxIds, sandboxParts, type Context } from './sandbox.ts';
import { describeSnapshot, freezeDisk, removeSnapshot, removeUnused, snapshotIds, snapshotOf, writeSnapshot } from './snapshots.ts';

type Persistence = Pick<
  SandboxProvider,
  'pause' | 'resume' | 'hibernate' | 'wake' | 'snapshot' | 'listSnapshots' | 'deleteSnapshot' | 'fork'
>;

export interface PersistenceContext {
  open: () => Promise<Context>;
  /** Throws `not_found`. */
  existing: (context: Context, id: string) => Promise<SandboxInfo>;
  check: (spec: SandboxSpec) => void;
  lock: KeyLock;
  /** Ids that do not exist for others yet. */
  making: Set<string>;
  /** Called of a sandbox whose machine was started anew. */
  onRestart: (id: string) => void;
}

/** Held by whoever makes layers or removes them. */
export const layersKey = 'layers:';

export function createPersistence({ open, existing, check, lock, making, onRestart }: PersistenceContext): Persistence {
  /** One lock after the other, in an order that is the same for everyone. */
  function locked<T>(keys: readonly string[], run: () => Promise<T>): Promise<T> {
    const [first, ...rest] = [...new Set(keys)].toSorted();
    return first === undefined ? run() : lock.run(first, () => locked(rest, run));
  }

  const refuse = (info: SandboxInfo, what: string) =>
    new BerthError('conflict', `sandbox ${info.id} is ${info.status}: it cannot ${what}`, {
      context: { id: info.id, status: info.status },
    });

  async function recordIn({ installation }: Context, id: string): Promise<SandboxRecord> {
    const record = await recordOf(installation, id);
    if (record === null) throw new BerthError('conflict', `sandbox ${id} can only be destroyed`, { context: { id } });
    return record;
  }

  async function layersOf(context: Context, info: SandboxInfo, signal: AbortSignal): Promise<SandboxRecord> {
    const parts = sandboxParts(context.installation, info.id);
    const record = await recordIn(context, info.id);
    return lock.run(layersKey, () => freezeDisk(context.installation, parts, record, info.status, signal));
  }

  return {
    async pause(id, { signal }) {
      const context = await open();
      await lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        if (info.status === 'paused') return;
        if (info.status !== 'running') throw refuse(info, 'be paused');
        const parts = sandboxParts(context.installation, id);
        await syncGuest(context, parts, signal);
        const [pids] = (await context.installation.control.tell(parts.sockets.control, ['stats'], signal)).split(' ').map(Number);
        await markPaused(parts.paths, pids ?? 0);
        const qmp = await openQmp(parts.sockets.monitor, signal);
        await qmp.run('stop').finally(() => qmp.close());
      });
    },

    async resume(id, { signal }) {
      const context = await open();
      return lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        if (info.status === 'running') return info;
        if (info.status !== 'paused') throw refuse(info, 'be resumed');
        const { paths, sockets } = sandboxParts(context.installation, id);
        const qmp = await openQmp(sockets.monitor, signal);
        await qmp.run('cont').finally(() => qmp.close());
        await rm(paths.paused);
        const channel = await context.channels.of(id, sockets.link, signal);
        await waitForHealth(() => channel.dial(signal), signal);
        return { ...info, status: 'running' as const };
      });
    },

    async hibernate(id, { signal }) {
      const context = await open();
      await lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        if (info.status === 'hibernated') return;
        if (info.status !== 'running' && info.status !== 'paused') throw refuse(info, 'hibernate');
        const parts = sandboxParts(context.installation, id);
        await hibernateSandbox(context, parts, await recordIn(context, id), info.status === 'paused', signal);
      });
    },

    async wake(id, { signal }) {
      const context = await open();
      return lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        if (info.status === 'running') return { info, restored: 'memory' as const, reason: null };
        if (info.status !== 'hibernated') throw refuse(info, 'wake');
        const parts = sandboxParts(context.installation, id);
        const record = await recordIn(context, id);
        const reason = await wakeSandbox(context, parts, record, signal);
        if (reason !== null) onRestart(id);
        return {
          info: describeSandbox(context.installation, record, 'running'),
          restored: reason === null ? ('memory' as const) : ('disk' as const),
          reason,
        };
      });
    },

    async snapshot(id, { snapshotId, memory }, { signal }) {
      checkId(snapshotId);
      const context = await open();
      if (memory) {
        throw new BerthError('unsupported', 'the qemu provider takes snapshots of disks, not of memory', { field: 'memory' });
      }
      return locked([id, snapshotKey(snapshotId)], async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        if (info.status === 'broken') throw refuse(info, 'be copied');
        const { installation } = context;
        const known = await snapshotOf(installation, snapshotId);
        if (known !== null) {
          if (known.sandboxId === id) return describeSnapshot(installation, known);
          throw new BerthError('conflict', `snapshot ${snapshotId} is of another sandbox`, { context: { snapshotId } });
        }
        const record = await layersOf(context, info, signal);
        const snapshot = {
          id: snapshotId,
          sandboxId: id,
          template: record.template,
          createdAt: new Date().toISOString(),
          diskBytes: record.shape.diskBytes,
          layers: record.layers,
        };
        await writeSnapshot(installation, snapshot);
        return describeSnapshot(installation, snapshot);
      });
    },

    async listSnapshots({ signal }) {
      const { installation } = await open();
      signal.throwIfAborted();
      const ids = await snapshotIds(installation);
      const found = await Promise.all(ids.map((id) => snapshotOf(installation, id)));
      return Promise.all(found.filter((one) => one !== null).map((one) => describeSnapshot(installation, one)));
    },

    async deleteSnapshot(snapshotId, { signal }) {
      checkId(snapshotId);
      const { installation } = await open();
      await lock.run(snapshotKey(snapshotId), async () => {
        signal.throwIfAborted();
        await removeSnapshot(installation, snapshotId);
        await lock.run(layersKey, () => removeUnused(installation));
      });
    },

    async fork(source, specs, { signal }) {
      const context = await open();
      const { installation } = context;
      for (const spec of specs) check(spec);
      const ids = forkIds(specs);
      const origin = 'sandboxId' in source ? source.sandboxId : snapshotKey(source.snapshotId);
      return locked([origin, ...ids], async () => {
        signal.throwIfAborted();
        const info = 'sandboxId' in source ? await existing(context, source.sandboxId) : null;
        if (info?.status === 'broken') throw refuse(info, 'be forked');
        const taken = new Set(await sandboxIds(installation));
        const conflict = ids.find((id) => taken.has(id));
        if (conflict !== undefined) {
          throw new BerthError('conflict', `sandbox ${conflict} exists`, { context: { id: conflict } });
        }
        const before = 'snapshotId' in source ? await snapshotFor(context, source.snapshotId) : await recordIn(context, source.sandboxId);
        const diskBytes = 'shape' in before ? before.shape.diskBytes : before.diskBytes;
        for (const spec of specs) checkFork(spec, before.template.name, diskBytes);
        const template = await installation.templates.version(before.template.name, before.template.version);
        const { layers } = info === null ? before : await layersOf(context, info, signal);
        for (const id of ids) making.add(id);
        try {
          const made = await settledAll(specs.map((spec) => makeSandbox(context, spec, template, { layers }, signal)));
          return made.map((record) => describeSandbox(installation, record, 'running'));
        } catch (error) {
          for (const id of ids) await removeSandbox(context, id);
          throw error;
        } finally {
          for (const id of ids) making.delete(id);
        }
      });
    },
  };
}

async function snapshotFor({ installation }: Context, id: string) {
  checkId(id);
  const snapshot = await snapshotOf(installation, id);
  if (snapshot === null) throw new BerthError('not_found', `there is no snapshot ${id}`, { context: { snapshotId: id } });
  return snapshot;
}

function checkFork(spec: SandboxSpec, template: string, diskBytes: number): void {
  if (spec.template !== template) {
    throw new BerthError('invalid_request', `a fork has the template of its source, ${template}`, { field: 'template' });
  }
  if (spec.limits.diskBytes !== diskBytes) {
    throw new BerthError('invalid_request', `a fork's disk is as large as its source's, ${diskBytes} bytes`, { field: 'limits.diskBytes' });
  }
}

/** All of them, or the first failure once all have ended. */
async function settledAll<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return results.map((result) => (result as PromiseFulfilledResult<T>).value);
}

/** No sandbox has such an id. */
const snapshotKey = (snapshotId: string) => `snapshot:${snapshotId}`;

/** Pids of a paused sandbox, from when it was paused. */
export async function pausedPids(paths: { paused: string }): Promise<number> {
  return Number(await readFile(paths.paused, 'utf8').catch(() => '0'));
}
