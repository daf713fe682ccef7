import type { Dependencies } from './dependencies.ts';
import type { SandboxRecord } from './ports/store.ts';
import type { SessionSandboxes } from './sandboxes/session-sandboxes.ts';
import { finishDeletion } from './sessions/session-service.ts';
import { activeTurnStates, settleSessionStatus } from './turns/turn-states.ts';

/**
 * Makes the store and the provider agree on what is this host's after a start, whatever the last process was doing when it
 * ended: what exists and is known is kept, what exists and is not known is removed, what is known and
 * does not exist is made again on need, and deletions go on. Nothing here starts work; the
 * dispatcher then drives the turns that were under way.
 */
export async function recover(deps: Dependencies, sandboxes: SessionSandboxes, signal: AbortSignal): Promise<void> {
  const existing = new Map((await deps.provider.list({ signal })).map((info) => [info.id, info]));
  for (const record of await deps.store.read.sandboxes({ hostId: deps.settings.hostId })) {
    const info = existing.get(record.id);
    existing.delete(record.id);
    if (record.status === 'destroying') continue;
    await settleSandbox(deps, record, info?.status ?? null);
  }
  await removeOrphans(deps, [...existing.keys()], signal);
  await finishRemovals(deps, sandboxes, signal);
}

/**
 * After a time in which this host's server ran but could not write: another may have had the host forgotten, and then
 * nobody knows its sandboxes any more. All else goes on as it is.
 */
export async function recoverFromAbsence(deps: Dependencies, signal: AbortSignal): Promise<void> {
  // In this order: a record is there before its sandbox.
  const existing = await deps.provider.list({ signal });
  const known = new Set((await deps.store.read.sandboxes({ hostId: deps.settings.hostId })).map(({ id }) => id));
  await removeOrphans(
    deps,
    existing.map(({ id }) => id).filter((id) => !known.has(id)),
    signal,
  );
}

async function removeOrphans(deps: Dependencies, ids: readonly string[], signal: AbortSignal): Promise<void> {
  for (const id of ids) {
    deps.logger.warn({ sandboxId: id }, 'removing a sandbox that no session knows');
    await deps.provider.destroy(id, { signal });
  }
}

async function settleSandbox(
  deps: Dependencies,
  record: SandboxRecord,
  found: SandboxRecord['status'] | null,
): Promise<void> {
  const at = deps.clock.now().toISOString();
  await deps.store.transaction(async (tx) => {
    const session = record.sessionId === null ? null : await tx.session(record.sessionId);
    const busy = session !== null && (await tx.turns(session.id, activeTurnStates)).length > 0;
    if (session !== null && session.forkedFrom !== null && record.status === 'creating' && !busy) {
      // A fork that was never finished: nobody was told of it, so it goes.
      await tx.updateSession(session.id, { deletingAt: at, updatedAt: at });
      return;
    }
    // Its turn holds the slot and will make or start it.
    const status = busy ? 'creating' : found;
    if (status === null) {
      await tx.deleteSandbox(record.id);
      if (session !== null) await tx.updateSession(session.id, { sandboxId: null, baseCommit: null, updatedAt: at });
    } else if (status !== record.status) {
      await tx.updateSandbox(record.id, { status, updatedAt: at });
    }
    if (session !== null) await settleSessionStatus(tx, session.id, at, session.statusReason);
  });
}

async function finishRemovals(deps: Dependencies, sandboxes: SessionSandboxes, signal: AbortSignal): Promise<void> {
  let before: string | undefined;
  for (;;) {
    const page = await deps.store.read.sessions({ limit: 200, ...(before === undefined ? {} : { before }) });
    for (const session of page) {
      if (session.deletingAt !== null && isOwn(deps, session.hostId)) await finishDeletion(deps, sandboxes, session.id);
    }
    const last = page.at(-1);
    if (last === undefined || page.length < 200) break;
    before = last.id;
  }
  const { hostId } = deps.settings;
  for (const record of await deps.store.read.sandboxes({ hostId, statuses: ['destroying'] })) {
    await deps.provider.destroy(record.id, { signal });
    await deps.store.transaction((tx) => tx.deleteSandbox(record.id));
  }
}

/** A session without a sandbox is anyone's to delete. */
function isOwn({ settings }: Pick<Dependencies, 'settings'>, hostId: string | null): boolean {
  return hostId === null || hostId === settings.hostId;
}
