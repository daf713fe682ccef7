import type { Dependencies } from '../dependencies.ts';
import type { QueueTurn, StoreReads } from '../ports/store.ts';
import { readSlotQuotas } from '../quotas/slot-quotas.ts';
import { projectQueue, type Place, type QueueHost } from './queue-projection.ts';
import { readQueue, toQueueState, type QueueState } from './queue-state.ts';
import { createTurnTimes } from './turn-times.ts';

/** Turns whose times the estimates are made of and measured by. */
export const measuredTurns = 300;

export interface QueueView {
  state: QueueState;
  hosts: QueueHost[];
  places: Map<string, Place>;
  /** Those that were claimed last, newest first. */
  measured: QueueTurn[];
}

/** The queue now, with every turn's place in it. `joining`: a turn about to be admitted. */
export async function viewQueue(
  deps: Pick<Dependencies, 'clock' | 'settings'>,
  reads: Pick<StoreReads, 'queuedTurns' | 'servedTurns' | 'latestClaimedTurns' | 'hosts' | 'quotas'>,
  joining?: QueueTurn,
): Promise<QueueView> {
  const nowMs = deps.clock.now().getTime();
  const { hostId, slots, queue, quotas } = deps.settings;
  const read = await readQueue(reads, queue.order, nowMs);
  const state = joining === undefined ? read : { ...read, ...withJoining(read, joining, nowMs) };
  const measured = await reads.latestClaimedTurns(measuredTurns);
  const registered = await reads.hosts();
  const hosts = registered.length === 0 ? [{ id: hostId, slots, live: true }] : registered;
  const limits = await readSlotQuotas(reads, quotas);
  const places = projectQueue(state, createTurnTimes(measured), hosts, limits, queue.order, nowMs);
  return { state, hosts, measured, places };
}

function withJoining(state: QueueState, joining: QueueTurn, nowMs: number): Pick<QueueState, 'queued' | 'waiting'> {
  const { queued, waiting } = toQueueState([...state.queued, joining], [], nowMs);
  return { queued, waiting };
}
