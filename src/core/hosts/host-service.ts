import type { Host } from '../../protocol/api.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import type { HostRecord, StoreTransaction } from '../ports/store.ts';
import { slotHolding } from '../sandboxes/slots.ts';
import { endTurn } from '../turns/end-turn.ts';
import { activeTurnStates, settleSessionStatus } from '../turns/turn-states.ts';

/** The machines that share a database. */
export interface HostService {
  list(): Promise<Host[]>;
  /**
   * Gives a host up for good: its sessions start again from their base commit, its turns that ran fail as `sandbox_lost`
   * (and can be replayed), those that were about to run are queued again, its snapshots are gone. Throws `conflict` for one that is up,
   * `not_found` for one that is not known. Should it return, it removes what it still has.
   */
  forget(hostId: string): Promise<void>;
}

export function createHostService(
  deps: Pick<Dependencies, 'store' | 'clock' | 'logger' | 'settings'>,
  onForgotten: () => void,
): HostService {
  return {
    async list() {
      const hosts = await deps.store.read.hosts();
      const sandboxes = await deps.store.read.sandboxes({ statuses: slotHolding });
      return hosts.map(({ id, address, slots, live, leaseUntil }) => ({
        id,
        address,
        slots,
        // Warm ones lie in free slots and give way.
        used: sandboxes.filter((sandbox) => sandbox.hostId === id && sandbox.sessionId !== null).length,
        live,
        leaseUntil,
        own: id === deps.settings.hostId,
      }));
    },

    async forget(hostId) {
      // Alone: a transaction of that host that passed its fence before has ended, and the next one fails on it.
      const lost = await deps.store.transaction((tx) => forgetHost(tx, hostId, deps.clock.now().toISOString()), {
        alone: true,
      });
      deps.logger.warn({ hostId, sessions: lost }, 'a host was forgotten; its sessions start again');
      onForgotten();
    },
  };
}

async function forgetHost(tx: StoreTransaction, hostId: string, at: string): Promise<string[]> {
  const host = requireAway(await tx.hosts(), hostId);
  const lost: string[] = [];
  for (const turn of await tx.turnsInState(activeTurnStates, hostId)) {
    if (turn.state === 'starting') await tx.updateTurn(turn.id, { state: 'queued', hostId: null });
    else await endTurn(tx, turn.id, 'failed', { code: 'sandbox_lost', message: `host ${hostId} was forgotten` }, at);
  }
  for (const { id, sessionId } of await tx.sandboxes({ hostId })) {
    const session = sessionId === null ? null : await tx.session(sessionId);
    await tx.deleteSandbox(id);
    if (session === null) continue;
    lost.push(session.id);
    if (session.deletingAt !== null) {
      await tx.deleteSession(session.id);
      continue;
    }
    await tx.updateSession(session.id, { sandboxId: null, baseCommit: null, acpSessionId: null, updatedAt: at });
    const message = `host ${hostId} was forgotten and this session's sandbox with it; starting again from the base commit`;
    await tx.appendEvents(session.id, [
      { at, turnId: null, type: 'progress', data: { stage: 'sandbox', message, fraction: null } },
    ]);
    await settleSessionStatus(tx, session.id, at, message);
  }
  for (const { id } of await tx.snapshots({ hostId })) await tx.deleteSnapshot(id);
  await tx.deleteHost(host.id);
  return lost;
}

function requireAway(hosts: readonly HostRecord[], hostId: string): HostRecord {
  const host = hosts.find(({ id }) => id === hostId);
  if (host === undefined) throw new BerthError('not_found', `there is no host ${hostId}`, { field: 'id' });
  if (host.live) {
    throw new BerthError('conflict', `host ${hostId} is up; end its server first, and wait until its lease is over`, {
      field: 'id',
    });
  }
  return host;
}
