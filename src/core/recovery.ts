import type { Dependencies } from './dependencies.ts';
import { recoverUnowned } from './pool/recover-warm.ts';
import type { SandboxRecord } from './ports/store.ts';
import type { SessionSandboxes } from './sandboxes/session-sandboxes.ts';
import { finishDeletion } from './sessions/session-service.ts';
import { activeTurnStates, settleSessionStatus } from './turns/turn-states.ts';

/**
 * Makes the store and the provider agree after a start, whatever the last process was doing when it
 * ended: what exists and is known is kept, what exists and is not known is removed, what is known and
 * does not exist is made again on need, and deletions go on. Nothing here starts work; the
 * dispatcher then drives the turns that were under way.
 */
export async function recover(deps: Dependencies, sandboxes: SessionSandboxes, signal: AbortSignal): Promise<void> {
  const existing = new Map((await deps.provider.list({ signal })).map((info) => [info.id, info]));
  for (const record of await deps.store.read.sandboxes()) {
    const info = existing.get(record.id);
    existing.delete(record.id);
    if (record.status === 'destroying') continue;
    if (record.sessionId === null) {
      await recoverUnowned(deps, record, info ?? null);
      continue;
    }
    await settleSandbox(deps, record, info?.status ?? null);
  }
  for (const orphan of existing.values()) {
    deps.logger.warn({ sandboxId: orphan.id }, 'removing a sandbox that no session knows');
    await deps.provider.destroy(orphan.id, { signal });
  }
  await finishRemovals(deps, sandboxes, signal);
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
      if (session.deletingAt !== null) await finishDeletion(deps, sandboxes, session.id);
    }
    const last = page.at(-1);
    if (last === undefined || page.length < 200) break;
    before = last.id;
  }
  for (const record of await deps.store.read.sandboxes()) {
    if (record.status !== 'destroying') continue;
    await deps.provider.destroy(record.id, { signal });
    await deps.store.transaction((tx) => tx.deleteSandbox(record.id));
  }
}
