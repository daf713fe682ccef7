import { BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import { claimWarm } from '../pool/claim-warm.ts';
import type { Settings } from '../dependencies.ts';
import type { SandboxRecord, SessionRecord, StoreTransaction } from '../ports/store.ts';

/** Statuses that hold memory, and with it a slot where a session owns it. `creating` is a slot reserved before the work begins. */
export const slotHolding: readonly SandboxRecord['status'][] = ['creating', 'running', 'paused', 'destroying'];

/**
 * Gives the session's sandbox a slot, claiming a warm one or making its record where there is none; the caller's
 * transaction makes this atomic with the turn it is for. False when every slot is taken.
 *
 * A sandbox lives on one host and only that host's server gives it a slot; `unavailable` elsewhere.
 *
 * A record in `creating` means: this sandbox is to run, whatever of it exists already.
 */
export async function reserveSlot(
  tx: StoreTransaction,
  session: SessionRecord,
  settings: Settings,
  at: string,
): Promise<boolean> {
  if (session.archivedAt !== null) await tx.updateSession(session.id, { archivedAt: null });
  const own = session.sandboxId === null ? null : await tx.sandbox(session.sandboxId);
  if (own !== null && own.hostId !== null && own.hostId !== settings.hostId) {
    throw new BerthError('unavailable', `the session's sandbox is on host ${own.hostId}`, {
      context: { hostId: own.hostId },
    });
  }
  if (own !== null && slotHolding.includes(own.status)) return own.status !== 'destroying';
  const awake = await tx.sandboxes({ hostId: settings.hostId, statuses: slotHolding });
  // Those that no session owns lie in free slots and give way.
  if (awake.filter(({ sessionId }) => sessionId !== null).length >= settings.slots) return false;
  if (own !== null) {
    await tx.updateSandbox(own.id, { status: 'creating', updatedAt: at });
    return true;
  }
  if (await claimWarm(tx, session, awake, at)) return true;
  const id = newId('sandbox');
  await tx.insertSandbox({
    id,
    sessionId: session.id,
    hostId: settings.hostId,
    provider: session.provider,
    template: session.template,
    status: 'creating',
    limits: session.limits,
    warm: null,
    createdAt: at,
    updatedAt: at,
  });
  await tx.updateSession(session.id, { sandboxId: id, updatedAt: at });
  return true;
}
