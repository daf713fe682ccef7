import { BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import type { SlotQuota } from '../../protocol/quota-subject.ts';
import { readSlotQuotas, SlotCount } from '../quotas/slot-quotas.ts';
import { claimWarm } from '../pool/claim-warm.ts';
import type { Settings } from '../dependencies.ts';
import type { SandboxRecord, SessionRecord, StoreTransaction } from '../ports/store.ts';

/** Statuses that hold memory, and with it a slot where a session owns it. `creating` is a slot reserved before the work begins. */
export const slotHolding: readonly SandboxRecord['status'][] = ['creating', 'running', 'paused', 'destroying'];

/** `quota`: the one that is full; `null`: every slot of the host is taken. */
export type Reservation = { reserved: true } | { reserved: false; quota: SlotQuota | null };

const reserved: Reservation = { reserved: true };
const noSlot: Reservation = { reserved: false, quota: null };

/**
 * Gives the session's sandbox a slot, claiming a warm one or making its record where there is none; the caller's
 * transaction makes this atomic with the turn it is for.
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
): Promise<Reservation> {
  if (session.archivedAt !== null) await tx.updateSession(session.id, { archivedAt: null });
  const own = session.sandboxId === null ? null : await tx.sandbox(session.sandboxId);
  if (own !== null && own.hostId !== null && own.hostId !== settings.hostId) {
    throw new BerthError('unavailable', `the session's sandbox is on host ${own.hostId}`, {
      context: { hostId: own.hostId },
    });
  }
  if (own !== null && slotHolding.includes(own.status)) return own.status === 'destroying' ? noSlot : reserved;
  const quotas = await readSlotQuotas(tx, settings.quotas);
  if (quotas.of(session).length > 0) {
    const quota = new SlotCount(quotas, await tx.slotHolders(slotHolding)).full(session);
    if (quota !== null) return { reserved: false, quota };
  }
  const awake = await tx.sandboxes({ hostId: settings.hostId, statuses: slotHolding });
  // Those that no session owns lie in free slots and give way.
  if (awake.filter(({ sessionId }) => sessionId !== null).length >= settings.slots) return noSlot;
  if (own !== null) {
    await tx.updateSandbox(own.id, { status: 'creating', updatedAt: at });
    return reserved;
  }
  if (await claimWarm(tx, session, awake, at)) return reserved;
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
  return reserved;
}
