import { BerthError } from '../../protocol/errors.ts';
import type { BeginEviction } from './eviction.ts';
import { nowOf, type SandboxesContext } from './context.ts';
import { describeSubject } from '../quotas/subjects.ts';
import { sessionNotFound } from './records.ts';
import { reserveSlot } from './slots.ts';

/** How long a call that is not a turn (a terminal, a file) waits for a slot. */
const slotWaitMs = 60_000;
const slotPollMs = 250;

/**
 * Waits until the session has a slot, evicting what is idle. Throws `unavailable` when none comes free. A fork that is
 * being made is marked as one being deleted; only its maker asks for a slot with `unfinished`.
 */
export async function waitForSlot(
  context: SandboxesContext,
  sessionId: string,
  beginEviction: BeginEviction,
  signal: AbortSignal,
  { unfinished = false }: { unfinished?: boolean } = {},
): Promise<void> {
  const { store, clock, settings } = context.deps;
  const deadlineMs = clock.now().getTime() + slotWaitMs;
  for (;;) {
    const reservation = await store.transaction(async (tx) => {
      const session = await tx.session(sessionId);
      if (session === null || (session.deletingAt !== null && !unfinished)) throw sessionNotFound(sessionId);
      return reserveSlot(tx, session, settings, nowOf(context));
    });
    if (reservation.reserved) {
      context.events.onSlotTaken();
      return;
    }
    const { quota } = reservation;
    if (await (await beginEviction(quota))?.done) continue;
    if (clock.now().getTime() >= deadlineMs) {
      if (quota !== null) {
        const message = `${describeSubject(quota)} has all of the ${quota.slots} slots that the quota allows, and they are busy`;
        throw new BerthError('unavailable', message, { context: { reason: 'quota', quota: 'slots' } });
      }
      throw new BerthError('unavailable', `all ${settings.slots} slots are busy; try again when one is free`, {
        context: { reason: 'no_slot' },
      });
    }
    await clock.sleep(slotPollMs, signal);
  }
}
