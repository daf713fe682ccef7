import { BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import type { Settings } from '../dependencies.ts';
import type { SandboxRecord, SessionRecord, StoreTransaction } from '../ports/store.ts';

/** Statuses that hold memory, and with it a slot. `creating` is a slot reserved before the work begins. */
export const slotHolding: readonly SandboxRecord['status'][] = ['creating', 'running', 'paused', 'destroying'];

/**
 * Gives the session's sandbox a slot, making its record where there is none; the caller's transaction
 * makes this atomic with the turn it is for. False when every slot is taken.
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
  const taken = (await tx.sandboxes({ hostId: settings.hostId, statuses: slotHolding })).length;
  if (taken >= settings.slots) return false;
  if (own !== null) {
    await tx.updateSandbox(own.id, { status: 'creating', updatedAt: at });
    return true;
  }
  const id = newId('sandbox');
  await tx.insertSandbox({
    id,
    sessionId: session.id,
    hostId: settings.hostId,
    provider: session.provider,
    template: session.template,
    status: 'creating',
    limits: session.limits,
    createdAt: at,
    updatedAt: at,
  });
  await tx.updateSession(session.id, { sandboxId: id, updatedAt: at });
  return true;
}
