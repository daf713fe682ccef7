import type { QueueTurn, StoreReads } from '../ports/store.ts';
import type { OrderPolicy, ServedTurn, WaitingTurn } from './queue-order.ts';

/** The queue as the store has it, in the terms of `queue-order.ts`. */
export interface QueueState {
  queued: QueueTurn[];
  waiting: WaitingTurn[];
  /** Hold a slot. */
  active: QueueTurn[];
  served: ServedTurn[];
}

/** As far back as a start can matter to the order: its fairness, and the age of its lane. */
const ageingPeriods = 4;

export async function readQueue(
  reads: Pick<StoreReads, 'queuedTurns' | 'servedTurns'>,
  policy: OrderPolicy,
  nowMs: number,
): Promise<QueueState> {
  const queued = await reads.queuedTurns();
  const sinceMs = nowMs - Math.max(policy.fairWindowMs, policy.ageingMs * ageingPeriods);
  const served = await reads.servedTurns(new Date(sinceMs).toISOString());
  return toQueueState(queued, served, nowMs);
}

export function toQueueState(queued: QueueTurn[], served: QueueTurn[], nowMs: number): QueueState {
  const holdsSlot = (turn: QueueTurn) => turn.state === 'starting' || turn.state === 'running';
  return {
    queued,
    waiting: queued.map(toWaiting),
    active: served.filter(holdsSlot),
    served: served.map((turn) => ({
      sessionId: turn.sessionId,
      owner: turn.owner,
      priority: turn.priority,
      claimedAtMs: turn.claimedAt === null ? nowMs : Date.parse(turn.claimedAt),
      // One that is back in the queue after a failure has had its slot, and gave it back at once.
      endedAtMs: holdsSlot(turn) ? null : Date.parse(turn.endedAt ?? turn.claimedAt ?? turn.createdAt),
    })),
  };
}

function toWaiting(turn: QueueTurn): WaitingTurn {
  return {
    id: turn.id,
    sessionId: turn.sessionId,
    owner: turn.owner,
    priority: turn.priority,
    queuedAtMs: Date.parse(turn.createdAt),
    ordinal: turn.ordinal,
    notBeforeMs: turn.retryAt === null ? 0 : Date.parse(turn.retryAt),
  };
}
