import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxInfo, SandboxProvider, SandboxSpec } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { waitForHealth } from '../../microvm/guest-health.ts';
import type { KeyLock } from '../_shared/key-lock.ts';
import { checkId, forkIds } from '../_shared/spec-check.ts';
import { createMachineApi } from './api.ts';
import { hibernateSandbox, syncGuest, wakeSandbox } from './hibernation.ts';
import type { SandboxRecord } from './record.ts';
import { describeSandbox, makeSandbox, recordOf, removeSandbox, sandboxIds, sandboxParts, type Context } from './sandbox.ts';
import { copyWhileFrozen, describeSnapshot, listSnapshots, makeSnapshot, removeSnapshot, snapshotDisk, snapshotOf } from './snapshots.ts';

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

interface ForkOrigin {
  template: SandboxRecord['template'];
  diskBytes: number;
  /** Puts a disk that the forks begin with at that path. */
  copy(path: string): Promise<void>;
}

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

  async function originOf(context: Context, source: { sandboxId: string } | { snapshotId: string }, signal: AbortSignal): Promise<ForkOrigin> {
    const { installation } = context;
    if ('snapshotId' in source) {
      checkId(source.snapshotId);
      const snapshot = await snapshotOf(installation, source.snapshotId);
      if (snapshot === null) {
        throw new BerthError('not_found', `there is no snapshot ${source.snapshotId}`, { context: { snapshotId: source.snapshotId } });
      }
      // Only read, and held by the lock: it needs no copy of its own.
      return { ...snapshot, copy: () => Promise.resolve() };
    }
    const info = await existing(context, source.sandboxId);
    if (info.status === 'broken') throw refuse(info, 'be forked');
    const record = await recordIn(context, source.sandboxId);
    const parts = sandboxParts(installation, source.sandboxId);
    return {
      template: record.template,
      diskBytes: record.shape.diskBytes,
      copy: (path) => copyWhileFrozen(installation, parts, info.status, path, signal),
    };
  }

  return {
    async pause(id, { signal }) {
      const context = await open();
      await lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        if (info.status === 'paused') return;
        if (info.status !== 'running') throw refuse(info, 'be paused');
        const { paths, sockets } = sandboxParts(context.installation, id);
        await syncGuest(context, sandboxParts(context.installation, id), signal);
        const [pids] = (await context.installation.control.tell(sockets.control, ['stats'], signal)).split(' ').map(Number);
        await writeFile(paths.paused, String(pids ?? 0));
        try {
          await createMachineApi(sockets.api, signal).setState('Paused');
        } catch (error) {
          await rm(paths.paused, { force: true });
          throw error;
        }
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
        await createMachineApi(sockets.api, signal).setState('Resumed');
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
        const record = await recordIn(context, id);
        const reason = await wakeSandbox(context, sandboxParts(context.installation, id), record, signal);
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
        throw new BerthError('unsupported', 'the firecracker provider takes snapshots of disks, not of memory', { field: 'memory' });
      }
      return locked([id, snapshotKey(snapshotId)], async () => {
        signal.throwIfAborted();
        const { installation } = context;
        const info = await existing(context, id);
        if (info.status === 'broken') throw refuse(info, 'be copied');
        const known = await snapshotOf(installation, snapshotId);
        if (known !== null) {
          if (known.sandboxId === id) return describeSnapshot(installation, known);
          throw new BerthError('conflict', `snapshot ${snapshotId} is of another sandbox`, { context: { snapshotId } });
        }
        const { template, shape } = await recordIn(context, id);
        const snapshot = { id: snapshotId, sandboxId: id, template, createdAt: new Date().toISOString(), diskBytes: shape.diskBytes };
        const parts = sandboxParts(installation, id);
        await makeSnapshot(installation, snapshot, (path) => copyWhileFrozen(installation, parts, info.status, path, signal));
        return describeSnapshot(installation, snapshot);
      });
    },

    async listSnapshots({ signal }) {
      const { installation } = await open();
      signal.throwIfAborted();
      const found = await listSnapshots(installation);
      return Promise.all(found.map((snapshot) => describeSnapshot(installation, snapshot)));
    },

    async deleteSnapshot(snapshotId, { signal }) {
      checkId(snapshotId);
      const { installation } = await open();
      await lock.run(snapshotKey(snapshotId), async () => {
        signal.throwIfAborted();
        await removeSnapshot(installation, snapshotId);
      });
    },

    async fork(source, specs, { signal }) {
      const context = await open();
      const { installation } = context;
      for (const spec of specs) check(spec);
      const ids = forkIds(specs);
      const key = 'sandboxId' in source ? source.sandboxId : snapshotKey(source.snapshotId);
      return locked([key, ...ids], async () => {
        signal.throwIfAborted();
        const origin = await originOf(context, source, signal);
        const taken = new Set(await sandboxIds(installation));
        const conflict = ids.find((id) => taken.has(id));
        if (conflict !== undefined) {
          throw new BerthError('conflict', `sandbox ${conflict} exists`, { context: { id: conflict } });
        }
        for (const spec of specs) checkFork(spec, origin.template.name, origin.diskBytes);
        const [first] = specs;
        if (first === undefined) return [];
        const template = await installation.templates.version(origin.template.name, origin.template.version);
        // Outside of every snapshot's own directory; what a crash leaves there has no record and goes.
        const copied = join(installation.snapshotsDir, `fork-of-${first.id}`);
        const disk = 'snapshotId' in source ? snapshotDisk(installation, source.snapshotId) : copied;
        for (const id of ids) making.add(id);
        try {
          await origin.copy(copied);
          const made = await settledAll(specs.map((spec) => makeSandbox(context, spec, template, disk, signal)));
          return made.map((record) => describeSandbox(installation, record, 'running'));
        } catch (error) {
          for (const id of ids) await removeSandbox(context, id);
          throw error;
        } finally {
          await rm(copied, { force: true });
          for (const id of ids) making.delete(id);
        }
      });
    },
  };
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
