import type { SandboxCapabilities, SandboxInfo, SandboxProvider } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { hibernateSandbox, recoverImages, wakeSandbox } from './hibernation.ts';
import { forkSandboxes, recoverForks } from './fork.ts';
import type { Installation } from './installation.ts';
import type { KeyLock } from '../_shared/key-lock.ts';
import { isHibernated, memoryImage } from './memory-image.ts';
import type { OuterStreams } from './outer-streams.ts';
import { waitForRunner } from '../_shared/runner-socket.ts';
import { sandboxIds, sandboxParts } from './sandbox.ts';
import { dropSnapshot, listSnapshots, recoverSnapshots, snapshotInfo, takeSnapshot } from './snapshots.ts';
import { checkId, checkSpec, forkIds } from '../_shared/spec-check.ts';
import { recoverStillness } from './stillness.ts';

type Persistence = Pick<
  SandboxProvider,
  'pause' | 'resume' | 'hibernate' | 'wake' | 'snapshot' | 'listSnapshots' | 'deleteSnapshot' | 'fork'
>;

export interface PersistenceContext {
  open: () => Promise<Installation>;
  /** Throws `not_found`. */
  existing: (installation: Installation, id: string) => Promise<SandboxInfo>;
  capabilities: () => SandboxCapabilities;
  lock: KeyLock;
  streams: OuterStreams;
  /** Ids that do not exist for others yet. */
  making: Set<string>;
}

export type PersistenceCapabilities = Pick<SandboxCapabilities, 'pause' | 'hibernate' | 'snapshot' | 'fork'>;

/** What this host can. `null`: not looked at yet, so the most that any can. */
export function persistenceCapabilities(installation: Installation | null): PersistenceCapabilities {
  const { cgroups, copies, checkpointer } = installation ?? {};
  const freezer = cgroups === undefined || cgroups.mode === 'v2' || cgroups.controllers.has('freezer');
  return {
    pause: freezer ? 'memory' : 'none',
    hibernate: freezer && checkpointer !== null ? 'memory+disk' : 'none',
    snapshot: copies === null ? 'none' : 'disk',
    fork: copies === null ? 'none' : 'live',
  };
}

/** Brings everything that a crash left half done to one side or the other. Called when nothing else of this installation is at work. */
export async function recoverPersistence(installation: Installation): Promise<void> {
  // First, as processes that are being written must stand still.
  await recoverImages(installation);
  await Promise.all((await sandboxIds(installation)).map((id) => recoverStillness(sandboxParts(installation, id))));
  await Promise.all([recoverSnapshots(installation), recoverForks(installation)]);
}

export function createPersistence({
  open,
  existing,
  capabilities,
  lock,
  making,
  streams,
}: PersistenceContext): Persistence {
  function demand(capability: keyof PersistenceCapabilities): void {
    if (capabilities()[capability] === 'none') {
      throw new BerthError('unsupported', `this host cannot ${capability} sandboxes (see "berth doctor")`);
    }
  }

  const refuse = (info: SandboxInfo, what: string) =>
    new BerthError('conflict', `sandbox ${info.id} is ${info.status}: it cannot ${what}`, {
      context: { id: info.id, status: info.status },
    });

  return {
    async pause(id, { signal }) {
      const installation = await open();
      demand('pause');
      await lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(installation, id);
        if (info.status === 'paused') return;
        if (info.status !== 'running') throw refuse(info, 'be paused');
        await sandboxParts(installation, id).freezer.freeze(signal);
      });
    },

    async resume(id, { signal }) {
      const installation = await open();
      demand('pause');
      return lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(installation, id);
        if (info.status === 'running') return info;
        if (info.status !== 'paused') throw refuse(info, 'be resumed');
        const { freezer, disk, cgroup } = sandboxParts(installation, id);
        freezer.thaw();
        await waitForRunner(disk.run, async () => !(await cgroup.isEmpty()), signal);
        return { ...info, status: 'running' as const };
      });
    },

    async hibernate(id, { signal }) {
      const installation = await open();
      demand('hibernate');
      await lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(installation, id);
        if (info.status === 'hibernated') return;
        if (info.status !== 'running' && info.status !== 'paused') throw refuse(info, 'hibernate');
        streams.end(id);
        await hibernateSandbox(installation, installation.checkpointer!, sandboxParts(installation, id), signal);
      });
    },

    async wake(id, { signal }) {
      checkId(id);
      const installation = await open();
      // One that was hibernated before can be woken, from its disk, where hibernating is no longer possible.
      if (!isHibernated(memoryImage(installation.imagesDir, id))) demand('hibernate');
      return lock.run(id, async () => {
        signal.throwIfAborted();
        const info = await existing(installation, id);
        if (info.status === 'running') return { info, restored: 'memory' as const, reason: null };
        if (info.status !== 'hibernated') throw refuse(info, 'wake');
        const parts = sandboxParts(installation, id);
        const reason = await wakeSandbox(installation, installation.checkpointer, parts, signal);
        const restored = reason === null ? ('memory' as const) : ('disk' as const);
        return { info: { ...info, status: 'running' as const }, restored, reason };
      });
    },

    async snapshot(id, { snapshotId, memory }, { signal }) {
      checkId(snapshotId);
      const installation = await open();
      demand('snapshot');
      if (memory) {
        throw new BerthError('unsupported', 'the oci provider takes snapshots of disks, not of memory', {
          field: 'memory',
        });
      }
      return lock.runAll([id, snapshotKey(snapshotId)], async () => {
        signal.throwIfAborted();
        const info = await existing(installation, id);
        if (info.status === 'broken') throw refuse(info, 'be copied');
        await takeSnapshot(installation, sandboxParts(installation, id), snapshotId, signal);
        return snapshotInfo(installation, snapshotId);
      });
    },

    async listSnapshots({ signal }) {
      const installation = await open();
      signal.throwIfAborted();
      return listSnapshots(installation);
    },

    async deleteSnapshot(snapshotId, { signal }) {
      checkId(snapshotId);
      const installation = await open();
      demand('snapshot');
      await lock.run(snapshotKey(snapshotId), async () => {
        signal.throwIfAborted();
        await dropSnapshot(installation, snapshotId);
      });
    },

    async fork(source, specs, { signal }) {
      const installation = await open();
      demand('fork');
      for (const spec of specs) checkSpec(spec, { name: 'oci', capabilities: capabilities() });
      const ids = forkIds(specs);
      const origin = 'sandboxId' in source ? source.sandboxId : snapshotKey(source.snapshotId);
      return lock.runAll([origin, ...ids], async () => {
        signal.throwIfAborted();
        if ('snapshotId' in source) {
          checkId(source.snapshotId);
        } else {
          const info = await existing(installation, source.sandboxId);
          if (info.status === 'broken') throw refuse(info, 'be forked');
        }
        const taken = new Set(await sandboxIds(installation));
        const conflict = ids.find((id) => taken.has(id));
        if (conflict !== undefined) {
          throw new BerthError('conflict', `sandbox ${conflict} exists`, { context: { id: conflict } });
        }
        for (const id of ids) making.add(id);
        try {
          await forkSandboxes(installation, source, specs, signal);
        } finally {
          for (const id of ids) making.delete(id);
        }
        return Promise.all(ids.map((id) => existing(installation, id)));
      });
    },
  };
}

/** No sandbox has such an id. */
const snapshotKey = (snapshotId: string) => `snapshot:${snapshotId}`;
