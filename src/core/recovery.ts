import { BerthError } from '../protocol/errors.ts';
import { afterRestart, type Found } from './after-restart.ts';
import type { Dependencies } from './dependencies.ts';
import { recoverUnowned } from './pool/recover-warm.ts';
import type { SandboxInfo, SandboxProvider } from './ports/sandbox-provider.ts';
import type { SandboxRecord, StoreTransaction } from './ports/store.ts';
import { settleNetwork } from './sandboxes/session-network.ts';
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
  const existing = await listAll(deps, signal);
  const known = await deps.store.read.sandboxes({ hostId });
  requireProviders(deps, known);
  // Most sleep as they were left: they are told apart by one query, and nothing is written for them.
  const uses = new Map((await deps.store.read.sandboxUses({ hostId })).map((use) => [use.sandboxId, use.work]));
  for (const record of known) {
    const info = existing.get(keyOf(record))?.info;
    if (record.sessionId !== null && info?.network === 'full') await withdrawNetwork(deps, record, info, signal);
    const asLeft = afterRestart(record.status, info?.status ?? 'none', 'none') === record.status;
    if (asLeft && uses.get(record.id) === 'none') continue;
    if (record.sessionId !== null) await settleSandbox(deps, record, info);
    else if (record.status !== 'destroying') await recoverUnowned(deps, record, info ?? null);
  }
  for (const record of known) existing.delete(keyOf(record));
  await removeOrphans(deps, [...existing.values()], signal);
  await finishRemovals(deps, sandboxes, signal);
  await recoverSnapshots(deps, signal);
}

/**
 * After a time in which this host's server ran but could not write: another may have had the host forgotten, and then
 * nobody knows its sandboxes any more. All else goes on as it is.
 */
export async function recoverFromAbsence(deps: Dependencies, signal: AbortSignal): Promise<void> {
  // In this order: a record is there before its sandbox.
  const existing = await listAll(deps, signal);
  for (const record of await deps.store.read.sandboxes({ hostId: deps.settings.hostId })) existing.delete(keyOf(record));
  await removeOrphans(deps, [...existing.values()], signal);
}

interface Existing {
  provider: SandboxProvider;
  info: SandboxInfo;
}

/** What each provider has, by provider and id: one that failed while it was made elsewhere is not the one that was made. */
async function listAll({ providers }: Dependencies, signal: AbortSignal): Promise<Map<string, Existing>> {
  const all = new Map<string, Existing>();
  for (const name of providers.names) {
    const provider = providers.of(name);
    for (const info of await provider.list({ signal })) all.set(keyOf({ id: info.id, provider: name }), { provider, info });
  }
  return all;
}

const keyOf = ({ id, provider }: Pick<SandboxRecord, 'id' | 'provider'>) => `${provider}/${id}`;

/** Without its provider nothing can be told of a sandbox, so it is neither forgotten nor left to itself. */
function requireProviders({ providers }: Dependencies, records: readonly SandboxRecord[]): void {
  const missing = records.filter(({ provider }) => !providers.has(provider)).map(({ provider }) => provider);
  if (missing.length === 0) return;
  const names = [...new Set(missing)].join(', ');
  throw new BerthError(
    'unavailable',
    `${missing.length} sandboxes here are of providers that this server is not configured with: ${names}; name them in BERTH_PROVIDERS`,
    { field: 'BERTH_PROVIDERS' },
  );
}

async function removeOrphans(deps: Dependencies, orphans: readonly Existing[], signal: AbortSignal): Promise<void> {
  for (const { provider, info } of orphans) {
    deps.logger.warn({ sandboxId: info.id, provider: provider.name }, 'removing a sandbox that no session knows');
    await provider.destroy(info.id, { signal });
  }
}

/** A policy that was changed, by a person or the operator, and not carried out. What is to be given is given at the next use. */
async function withdrawNetwork(deps: Dependencies, record: SandboxRecord, info: SandboxInfo, signal: AbortSignal): Promise<void> {
  const session = record.sessionId === null ? null : await deps.store.read.session(record.sessionId);
  if (session !== null) await settleNetwork(deps, session, record, info, signal);
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
    await deps.providers.of(record.provider).destroy(record.id, { signal });
    await deps.store.transaction((tx) => tx.deleteSandbox(record.id));
  }
}

/** A session without a sandbox is anyone's to delete. */
function isOwn({ settings }: Pick<Dependencies, 'settings'>, hostId: string | null): boolean {
  return hostId === null || hostId === settings.hostId;
}
