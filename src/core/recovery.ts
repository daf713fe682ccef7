import { afterRestart, type Found } from './after-restart.ts';
import type { Dependencies } from './dependencies.ts';
import { recoverUnowned } from './pool/recover-warm.ts';
import type { SandboxInfo } from './ports/sandbox-provider.ts';
import type { SandboxRecord, StoreTransaction } from './ports/store.ts';
import type { SessionSandboxes } from './sandboxes/session-sandboxes.ts';
import { finishDeletion } from './sessions/session-service.ts';
import { recoverSnapshots } from './snapshots/remove-snapshot.ts';
import { activeTurnStates, settleSessionStatus } from './turns/turn-states.ts';

/**
/**
 * Makes the store and the provider agree on what is this host's after a start, whatever the last process was doing when
 * it ended: what exists and is known is kept as it is found (`after-restart.ts`), what exists and is not known is
 * removed, and deletions go on. Nothing here starts work; the dispatcher then drives the turns that were under way.
 */
export async function recover(deps: Dependencies, sandboxes: SessionSandboxes, signal: AbortSignal): Promise<void> {
  const { hostId } = deps.settings;
  const existing = new Map((await deps.provider.list({ signal })).map((info) => [info.id, info]));
  const known = await deps.store.read.sandboxes({ hostId });
  // Most sleep as they were left: they are told apart by one query, and nothing is written for them.
  const uses = new Map((await deps.store.read.sandboxUses({ hostId })).map((use) => [use.sandboxId, use.work]));
  for (const record of known) {
    const info = existing.get(record.id);
    const asLeft = afterRestart(record.status, info?.status ?? 'none', 'none') === record.status;
    if (asLeft && uses.get(record.id) === 'none') continue;
    if (record.sessionId !== null) await settleSandbox(deps, record, info);
    else if (record.status !== 'destroying') await recoverUnowned(deps, record, info ?? null);
  }
  for (const { id } of known) existing.delete(id);
  await removeOrphans(deps, [...existing.keys()], signal);
  await finishRemovals(deps, sandboxes, signal);
  await recoverSnapshots(deps, signal);
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

async function settleSandbox(deps: Dependencies, record: SandboxRecord, info: SandboxInfo | undefined): Promise<void> {
  const found: Found = info?.status ?? 'none';
  const at = deps.clock.now().toISOString();
  await deps.store.transaction(async (tx) => {
    const session = record.sessionId === null ? null : await tx.session(record.sessionId);
    const becomes = afterRestart(record.status, found, session === null ? 'none' : await workOf(tx, session.id));
    if (becomes === 'destroying') return;
    if (becomes === 'forgotten') {
      await tx.deleteSandbox(record.id);
      if (session !== null) {
        // The next use makes a new one from the base commit.
        const lost = { sandboxId: null, baseCommit: null, acpSessionId: null, forkAcpSessionId: null };
        await tx.updateSession(session.id, { ...lost, updatedAt: at });
        if (session.baseCommit !== null && session.deletingAt === null) {
          const message = 'the sandbox of this session was lost with its disk';
          await tx.appendEvents(session.id, [
            { at, turnId: null, type: 'progress', data: { stage: 'sandbox', message, fraction: null } },
          ]);
        }
      }
    } else if (becomes !== record.status) {
      await tx.updateSandbox(record.id, { status: becomes, updatedAt: at });
    }
    if (session !== null) await settleSessionStatus(tx, session.id, at, session.statusReason);
  });
}

/** As `SandboxUse.work`, of sessions that are being deleted too. */
async function workOf(tx: StoreTransaction, sessionId: string): Promise<'none' | 'asking' | 'busy'> {
  const active = await tx.turns(sessionId, activeTurnStates);
  if (active.length === 0) return 'none';
  if (active.some((turn) => turn.state !== 'running' || turn.cancelRequestedAt !== null)) return 'busy';
  return (await tx.openPermissions(sessionId)).length > 0 ? 'asking' : 'busy';
}

async function finishRemovals(deps: Dependencies, sandboxes: SessionSandboxes, signal: AbortSignal): Promise<void> {
  let before: string | undefined;
  for (;;) {
    const page = await deps.store.read.sessions({ limit: 200, deleting: true, ...(before === undefined ? {} : { before }) });
    for (const session of page) if (isOwn(deps, session.hostId)) await finishDeletion(deps, sandboxes, session.id);
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
