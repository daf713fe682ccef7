import { createQueueOrder, type OrderPolicy } from './queue-order.ts';
import type { QueueState } from './queue-state.ts';
import type { TurnTimes } from './turn-times.ts';

/** Where a waiting turn stands. */
export interface Place {
  /** 0: nothing stands in its way. Else the place among those that must wait; 1 is next. */
  position: number;
  waitMs: number;
}

/**
 * Plays the queue forward: running turns end when turns of their agent do, each slot that comes free takes
 * the next turn by `queue-order.ts`. Gives every waiting turn its place, in the order in which they start.
 */
export function projectQueue(
  state: QueueState,
  times: TurnTimes,
  slots: number,
  policy: OrderPolicy,
  nowMs: number,
): Map<string, Place> {
  const places = new Map<string, Place>();
  const agents = new Map(state.queued.map((turn) => [turn.id, turn.agent]));
  const running = new Map<string, number>();
  for (const turn of state.active) {
    const elapsedMs = Math.max(0, nowMs - (turn.claimedAt === null ? nowMs : Date.parse(turn.claimedAt)));
    running.set(turn.sessionId, nowMs + Math.max(1, times.remainingMs(turn.agent, elapsedMs)));
  }
  const served = state.served.map((turn) => ({
    ...turn,
    endedAtMs: turn.endedAtMs ?? running.get(turn.sessionId) ?? null,
  }));
  const order = createQueueOrder(state.waiting, served, policy);
  const left = new Set(state.waiting.map((turn) => turn.id));
  const retries = state.waiting
    .map((turn) => turn.notBeforeMs)
    .filter((ms) => ms > nowMs)
    .sort((a, b) => a - b);

  let atMs = nowMs;
  let position = 0;
  while (left.size > 0) {
    const turn = running.size < slots ? order.next(atMs, (sessionId) => running.has(sessionId)) : null;
    if (turn !== null) {
      const endsAtMs = atMs + Math.max(1, times.expectedMs(agents.get(turn.id) ?? ''));
      order.take(turn, atMs, endsAtMs);
      running.set(turn.sessionId, endsAtMs);
      left.delete(turn.id);
      if (atMs > nowMs) position += 1;
      places.set(turn.id, { position: atMs > nowMs ? position : 0, waitMs: atMs - nowMs });
      continue;
    }
    atMs = nextChange(atMs, running, retries);
    if (atMs === Infinity) break;
    for (const [sessionId, endsAtMs] of running) if (endsAtMs <= atMs) running.delete(sessionId);
  }
  return places;
}

/** When the next slot comes free or the next failed turn may be tried again; `retries` in order, those past are taken out. */
function nextChange(atMs: number, running: ReadonlyMap<string, number>, retries: number[]): number {
  while (retries.length > 0 && retries[0]! <= atMs) retries.shift();
  let next = retries[0] ?? Infinity;
  for (const endsAtMs of running.values()) next = Math.min(next, endsAtMs);
  return next;
}
