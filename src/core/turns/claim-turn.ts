import type { Dependencies } from '../dependencies.ts';
import type { TurnRecord } from '../ports/store.ts';
import { reserveSlot } from '../sandboxes/slots.ts';
import { activeTurnStates, settleSessionStatus } from './turn-states.ts';

/**
 * Takes the first queued turn that may start: it is its session's oldest, no other of the session is under
 * way, and there is a slot for it. Moving it to `starting` and reserving the slot are one transaction, so
 * that of several servers on one store exactly one gets each turn. `slotMissing` when one was passed over for
 * want of a slot.
 */
export async function claimTurn(
  deps: Pick<Dependencies, 'store' | 'clock' | 'settings'>,
): Promise<{ turn: TurnRecord | null; slotMissing: boolean }> {
  return deps.store.transaction(async (tx) => {
    const at = deps.clock.now().toISOString();
    let slotMissing = false;
    for (const turn of await tx.turnsInState(['queued'])) {
      const session = await tx.session(turn.sessionId);
      if (session === null || session.deletingAt !== null) continue;
      if ((await tx.turns(session.id, activeTurnStates)).length > 0) continue;
      const [oldest] = await tx.turns(session.id, ['queued']);
      if (oldest?.id !== turn.id) continue;
      if (!(await reserveSlot(tx, session, deps.settings, at))) {
        slotMissing = true;
        continue;
      }
      await tx.updateTurn(turn.id, { state: 'starting' });
      await settleSessionStatus(tx, session.id, at);
      return { turn: { ...turn, state: 'starting' }, slotMissing };
    }
    return { turn: null, slotMissing };
  });
}
