import type { CreateSnapshotRequest } from '../../protocol/api.ts';
import { asBerthError, BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import { actorOf } from '../audit/actor.ts';
import type { Dependencies } from '../dependencies.ts';
import type { SandboxProvider } from '../ports/sandbox-provider.ts';
import type { SessionRecord, SnapshotFilter, SnapshotRecord } from '../ports/store.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';
import { forkSession, snapshotSourceOf } from '../sessions/fork-session.ts';
import { beginRemoval, finishRemoval, markRemoved } from './remove-snapshot.ts';

/** Named, immutable copies of sessions: their disk, and what a session made from one needs to know. */
export interface SnapshotService {
  /** Throws `conflict` for a name that the owner has, `unsupported` for what the provider cannot. The session goes on. */
  create(
    sessionId: string,
    request: CreateSnapshotRequest,
    owner: string,
    signal: AbortSignal,
  ): Promise<SnapshotRecord>;
  /** Newest first; those that are being made or deleted are left out. */
  list(filter: Omit<SnapshotFilter, 'states'>): Promise<SnapshotRecord[]>;
  /** By id, or by the owner's name for it. */
  get(idOrName: string, owner: string): Promise<SnapshotRecord>;
  /** Sessions made from it are not touched. Goes on after a crash. */
  delete(idOrName: string, owner: string, signal: AbortSignal): Promise<void>;
  /** New sessions that begin where it was taken: own disk and branch, the conversation up to then. */
  fork(idOrName: string, count: number, owner: string, signal: AbortSignal): Promise<SessionRecord[]>;
}

export function createSnapshotService(deps: Dependencies, sandboxes: SessionSandboxes): SnapshotService {
  const { store, providers } = deps;

  async function get(idOrName: string, owner: string): Promise<SnapshotRecord> {
    const found = (await store.read.snapshot(idOrName)) ?? (await store.read.snapshots({ owner, name: idOrName }))[0];
    if (found === undefined || found.state !== 'ready') {
      throw new BerthError('not_found', `there is no snapshot ${idOrName}`, { field: 'snapshot' });
    }
    return found;
  }

  return {
    async create(sessionId, { name, memory }, owner, signal) {
      const planned = await store.transaction(async (tx) => {
        const session = await tx.session(sessionId);
        if (session === null || session.deletingAt !== null) {
          throw new BerthError('not_found', `there is no session ${sessionId}`, { field: 'id' });
        }
        requireSnapshots(providers.of(session.provider), memory);
        if (session.sandboxId === null || session.baseCommit === null) {
          throw new BerthError('conflict', 'the session has no workspace yet; there is nothing to copy', {
            field: 'id',
          });
        }
        if ((await tx.snapshots({ owner, name })).length > 0) {
          throw new BerthError('conflict', `you have a snapshot named ${name}`, { field: 'name' });
        }
        const record: SnapshotRecord = {
          id: newId('snapshot'),
          owner,
          name,
          state: 'creating',
          memory,
          hostId: deps.settings.hostId,
          provider: session.provider,
          sessionId,
          sandboxId: session.sandboxId,
          source: snapshotSourceOf(session),
          sizeBytes: null,
          createdAt: deps.clock.now().toISOString(),
        };
        await tx.insertSnapshot(record);
        await tx.appendAudit([
          {
            at: record.createdAt,
            actor: actorOf(owner),
            action: 'snapshot.created',
            target: record.id,
            sessionId,
            detail: { name, memory },
          },
        ]);
        return record;
      });
      const { id, sandboxId } = planned;
      const provider = providers.of(planned.provider);
      try {
        const info = await sandboxes.exclusively(sessionId, () =>
          provider.snapshot(sandboxId, { snapshotId: id, memory }, { signal }),
        );
        const ready = { state: 'ready', sizeBytes: info.sizeBytes } as const;
        await store.transaction(async (tx) => {
          await tx.updateSnapshot(id, ready);
          if ((await tx.session(sessionId)) === null) return;
          const at = deps.clock.now().toISOString();
          const data = { snapshotId: id, name, memory, by: owner };
          await tx.appendEvents(sessionId, [{ at, turnId: null, type: 'snapshot.created', data }]);
        });
        return { ...planned, ...ready };
      } catch (cause) {
        // What cannot be removed now is at the next start.
        await removeNow(planned).catch((error: unknown) =>
          deps.logger.warn({ snapshotId: id, err: error }, 'a failed snapshot could not be removed'),
        );
        throw asBerthError(cause);
      }
    },

    list: (filter) => store.read.snapshots({ ...filter, states: ['ready'] }),
    get,
    async delete(idOrName, owner, signal) {
      const record = await get(idOrName, owner);
      const { id, name, sessionId } = record;
      await store.transaction(async (tx) => {
        await markRemoved(tx, id);
        const at = deps.clock.now().toISOString();
        await tx.appendAudit([
          { at, actor: actorOf(owner), action: 'snapshot.deleted', target: id, sessionId, detail: { name } },
        ]);
      });
      await finishRemoval(deps, record, signal);
    },

    async fork(idOrName, count, owner, signal) {
      const { id, name, source, sessionId } = await get(idOrName, owner);
      const origin = `the snapshot ${name} of ${sessionId}`;
      const request = { from: { snapshotId: id }, source, sessionId, origin, count, owner };
      const ids = await forkSession(deps, sandboxes, request, signal);
      const made = await Promise.all(ids.map((each) => store.read.session(each)));
      return made.filter((session) => session !== null);
    },
  };

  async function removeNow(
    record: SnapshotRecord,
    signal: AbortSignal = AbortSignal.timeout(removalTimeoutMs),
  ): Promise<void> {
    await beginRemoval(deps, record.id);
    await finishRemoval(deps, record, signal);
  }
}

const removalTimeoutMs = 5 * 60_000;

function requireSnapshots(provider: SandboxProvider, memory: boolean): void {
  const { snapshot } = provider.capabilities;
  if (snapshot === 'none') {
    throw new BerthError('unsupported', `the provider ${provider.name} has no snapshots`, { field: 'provider' });
  }
  if (memory && snapshot !== 'memory+disk') {
    const message = `snapshots of the provider ${provider.name} are of the disk only`;
    throw new BerthError('unsupported', message, { field: 'memory' });
  }
}
