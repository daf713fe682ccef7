import { readFile, rm, writeFile } from 'node:fs/promises';
import type { SandboxInfo, SandboxProvider, SandboxSpec, SnapshotInfo } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import type { KeyLock } from '../../providers/_shared/key-lock.ts';
import { freeBytesAt } from '../../free-bytes.ts';
import { requireRoom } from '../../providers/_shared/require-room.ts';
import { checkId, forkIds } from '../../providers/_shared/spec-check.ts';
import { waitForHealth } from '../guest-health.ts';
import { hibernateSandbox, syncGuest, wakeSandbox } from './hibernation.ts';
import type { DiskSource, MachineKind, Sandbox } from './machines.ts';
import type { SandboxPaths } from './paths.ts';
import type { SnapshotRecord } from './record.ts';
import { describeSandbox, makeSandbox, recordOf, removeSandbox, sandboxIds, sandboxParts, type Context } from './sandbox.ts';

type Persistence = Pick<
  SandboxProvider,
  'pause' | 'resume' | 'hibernate' | 'wake' | 'snapshot' | 'listSnapshots' | 'deleteSnapshot' | 'fork'
>;

export interface PersistenceContext<K extends MachineKind> {
  open: () => Promise<Context<K>>;
  /** Throws `not_found`. */
  existing: (context: Context<K>, id: string) => Promise<SandboxInfo>;
  check: (spec: SandboxSpec) => void;
  lock: KeyLock;
  /** Ids that do not exist for others yet. */
  making: Set<string>;
  /** Called of a sandbox whose machine was started anew. */
  onRestart: (id: string) => void;
}

const settleMs = 10_000;

export function createPersistence<K extends MachineKind>({ open, existing, check, lock, making, onRestart }: PersistenceContext<K>): Persistence {
  const refuse = (info: SandboxInfo, what: string) =>
    new BerthError('conflict', `sandbox ${info.id} is ${info.status}: it cannot ${what}`, {
      context: { id: info.id, status: info.status },
    });

  async function sandboxIn(context: Context<K>, id: string): Promise<Sandbox<K>> {
    const record = await recordOf(context, id);
    if (record === null) throw new BerthError('conflict', `sandbox ${id} can only be destroyed`, { context: { id } });
    return { ...sandboxParts(context, id), record };
  }

  async function describe({ machines }: Context<K>, snapshot: K['snapshot']): Promise<SnapshotInfo> {
    return {
      id: snapshot.id,
      sandboxId: snapshot.sandboxId,
      template: snapshot.template.name,
      memory: false,
      sizeBytes: await machines.snapshots.sizeBytes(snapshot),
      createdAt: snapshot.createdAt,
    };
  }

  async function sourceOf(context: Context<K>, source: { sandboxId: string } | { snapshotId: string }): Promise<DiskSource<K>> {
    if ('snapshotId' in source) {
      const { snapshotId } = source;
      checkId(snapshotId);
      const snapshot = await context.machines.snapshots.find(snapshotId);
      if (snapshot === null) throw new BerthError('not_found', `there is no snapshot ${snapshotId}`, { context: { snapshotId } });
      return { snapshot };
    }
    const info = await existing(context, source.sandboxId);
    if (info.status === 'broken') throw refuse(info, 'be forked');
    return { sandbox: await sandboxIn(context, source.sandboxId), status: info.status };
  }

  return {
    async pause(id, { signal }) {
      const context = await open();
      const { installation, machines } = context;
      await lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        if (info.status === 'paused') return;
        if (info.status !== 'running') throw refuse(info, 'be paused');
        const parts = sandboxParts(context, id);
        await syncGuest(context, parts, signal);
        const [pids] = (await installation.control.tell(parts.lines.control, ['stats'], signal)).split(' ').map(Number);
        // Before it is held: one that is, and has no such mark, is let go at the next start of Berth.
        await writeFile(parts.paths.paused, String(pids ?? 0));
        try {
          await machines.hold(id, signal);
        } catch (error) {
          await machines.letGo(id, AbortSignal.timeout(settleMs)).catch(() => {});
          await rm(parts.paths.paused, { force: true });
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
        const { paths, lines } = sandboxParts(context, id);
        await context.machines.letGo(id, signal);
        await rm(paths.paused);
        const channel = await context.channels.of(id, lines.link, signal);
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
        await hibernateSandbox(context, await sandboxIn(context, id), info.status === 'paused', signal);
      });
    },

    async wake(id, { signal }) {
      const context = await open();
      return lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        if (info.status === 'running') return { info, restored: 'memory' as const, reason: null };
        if (info.status !== 'hibernated') throw refuse(info, 'wake');
        const sandbox = await sandboxIn(context, id);
        const reason = await wakeSandbox(context, sandbox, signal);
        if (reason !== null) onRestart(id);
        return {
          info: describeSandbox(context.installation, sandbox.record, 'running'),
          restored: reason === null ? ('memory' as const) : ('disk' as const),
          reason,
        };
      });
    },

    async snapshot(id, { snapshotId, memory }, { signal }) {
      checkId(snapshotId);
      const context = await open();
      const { machines, installation } = context;
      if (memory) {
        throw new BerthError('unsupported', `the ${installation.name} provider takes snapshots of disks, not of memory`, { field: 'memory' });
      }
      return lock.runAll([id, snapshotKey(snapshotId)], async () => {
        signal.throwIfAborted();
        const info = await existing(context, id);
        if (info.status === 'broken') throw refuse(info, 'be copied');
        const known = await machines.snapshots.find(snapshotId);
        if (known !== null) {
          if (known.sandboxId === id) return describe(context, known);
          throw new BerthError('conflict', `snapshot ${snapshotId} is of another sandbox`, { context: { snapshotId } });
        }
        const sandbox = await sandboxIn(context, id);
        const { template, shape } = sandbox.record;
        const snapshot: SnapshotRecord = { id: snapshotId, sandboxId: id, template, createdAt: new Date().toISOString(), diskBytes: shape.diskBytes };
        return describe(context, await machines.snapshots.take(snapshot, sandbox, info.status, signal));
      });
    },

    async listSnapshots({ signal }) {
      const context = await open();
      signal.throwIfAborted();
      const found = await context.machines.snapshots.list();
      return Promise.all(found.map((snapshot) => describe(context, snapshot)));
    },

    async deleteSnapshot(snapshotId, { signal }) {
      checkId(snapshotId);
      const { machines } = await open();
      await lock.run(snapshotKey(snapshotId), async () => {
        signal.throwIfAborted();
        await machines.snapshots.remove(snapshotId);
      });
    },

    async fork(source, specs, { signal }) {
      const context = await open();
      const { installation, machines } = context;
      for (const spec of specs) check(spec);
      const ids = forkIds(specs);
      const key = 'sandboxId' in source ? source.sandboxId : snapshotKey(source.snapshotId);
      return lock.runAll([key, ...ids], async () => {
        signal.throwIfAborted();
        const from = await sourceOf(context, source);
        const taken = new Set(await sandboxIds(installation));
        const conflict = ids.find((id) => taken.has(id));
        if (conflict !== undefined) {
          throw new BerthError('conflict', `sandbox ${conflict} exists`, { context: { id: conflict } });
        }
        const before = 'snapshot' in from ? from.snapshot : from.sandbox.record;
        const diskBytes = 'snapshot' in from ? from.snapshot.diskBytes : from.sandbox.record.shape.diskBytes;
        for (const spec of specs) checkFork(spec, before.template.name, diskBytes);
        requireRoom(await freeBytesAt(installation.sandboxesDir));
        const template = await installation.templates.version(before.template.name, before.template.version);
        for (const id of ids) making.add(id);
        try {
          const { origin, release } = await machines.disks.lend(from, signal);
          try {
            const made = await settledAll(specs.map((spec) => makeSandbox(context, spec, template, origin, signal)));
            return made.map((record) => describeSandbox(installation, record, 'running'));
          } finally {
            await release();
          }
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
export async function pausedPids(paths: SandboxPaths): Promise<number> {
  return Number(await readFile(paths.paused, 'utf8').catch(() => '0'));
}
