import type { HostRecord } from '../ports/store.ts';
import type { SlotQuota } from '../../protocol/quota-subject.ts';
import { SlotCount, type SlotQuotas } from '../quotas/slot-quotas.ts';
import type { QuotaHolder } from '../quotas/subjects.ts';
import { createQueueOrder, type OrderPolicy } from './queue-order.ts';
import type { QueueState } from './queue-state.ts';
import type { TurnTimes } from './turn-times.ts';

/** Where a waiting turn stands. */
export interface Place {
  /** 0: nothing stands in its way. Else the place among those that must wait; 1 is next. */
  position: number;
  waitMs: number;
  /** The host that has its session's sandbox, when that is away: it comes after all others. */
  away: string | null;
  /** It waits though slots are free: this quota leaves no room. */
  quota: SlotQuota | null;
}

/** Nothing stands in its way. */
export const noWait: Place = { position: 0, waitMs: 0, away: null, quota: null };

/** A host as the queue sees it. */
export type QueueHost = Pick<HostRecord, 'id' | 'slots' | 'live'>;

/**
 * Plays the queue forward: running turns end when turns of their agent do, each slot that comes free takes
 * the next turn by `queue-order.ts` that may have it, and whose owner and team have room in their quota; a session with a sandbox takes slots of its host alone. Gives every
 * waiting turn its place, in the order in which they start.
 */
export function projectQueue(
  state: QueueState,
  times: TurnTimes,
  hosts: readonly QueueHost[],
  quotas: SlotQuotas,
  policy: OrderPolicy,
  nowMs: number,
): Map<string, Place> {
  const places = new Map<string, Place>();
  const queued = new Map(state.queued.map((turn) => [turn.sessionId, turn]));
  const agents = new Map(state.queued.map((turn) => [turn.id, turn.agent]));
  const free = new Map(hosts.filter(({ live }) => live).map(({ id, slots }) => [id, slots]));
  const isUp = new Set(free.keys());
  const running = new Map<string, { endsAtMs: number; hostId: string; holder: QuotaHolder }>();
  const held = new SlotCount(quotas);
  const start = (sessionId: string, endsAtMs: number, hostId: string, holder: QuotaHolder): void => {
    running.set(sessionId, { endsAtMs, hostId, holder });
    held.add(holder, 1);
    free.set(hostId, (free.get(hostId) ?? 0) - 1);
  };
  for (const turn of state.active) {
    const elapsedMs = Math.max(0, nowMs - (turn.claimedAt === null ? nowMs : Date.parse(turn.claimedAt)));
    const endsAtMs = nowMs + Math.max(1, times.remainingMs(turn.agent, elapsedMs));
    start(turn.sessionId, endsAtMs, turn.hostId ?? hosts[0]?.id ?? '', turn);
  }
  const served = state.served.map((turn) => ({
    ...turn,
    endedAtMs: turn.endedAtMs ?? running.get(turn.sessionId)?.endsAtMs ?? null,
  }));
  const awayOf = (sessionId: string): string | null => {
    const hostId = queued.get(sessionId)?.hostId ?? null;
    return hostId === null || isUp.has(hostId) ? null : hostId;
  };
  const reachable = state.waiting.filter(({ sessionId }) => awayOf(sessionId) === null);
  const order = createQueueOrder(reachable, served, policy);
  const left = new Set(reachable.map((turn) => turn.id));
  const retries = reachable
    .map((turn) => turn.notBeforeMs)
    .filter((ms) => ms > nowMs)
    .sort((a, b) => a - b);

  /** The host whose slot the session would take now. */
  const hostFor = (sessionId: string): string | null => {
    const own = queued.get(sessionId)?.hostId ?? null;
    if (own !== null) return (free.get(own) ?? 0) > 0 ? own : null;
    for (const [id, slots] of free) if (slots > 0 && isUp.has(id)) return id;
    return null;
  };
  const fullFor = (sessionId: string): SlotQuota | null => {
    const turn = queued.get(sessionId);
    return turn === undefined ? null : held.full(turn);
  };
  const hasRoom = (): boolean => [...free].some(([id, slots]) => slots > 0 && isUp.has(id));
  const cannotStart = (sessionId: string): boolean => running.has(sessionId) || hostFor(sessionId) === null || fullFor(sessionId) !== null;

  /** Of those that could start now but for a quota. */
  const why = new Map<string, SlotQuota | null>();
  let atMs = nowMs;
  let position = 0;
  while (left.size > 0) {
    const turn = hasRoom() ? order.next(atMs, cannotStart) : null;
    const hostId = turn === null ? null : hostFor(turn.sessionId);
    if (turn !== null && hostId !== null) {
      const endsAtMs = atMs + Math.max(1, times.expectedMs(agents.get(turn.id) ?? ''));
      order.take(turn, atMs, endsAtMs);
      const reason = why.get(turn.id) ?? null;
      start(turn.sessionId, endsAtMs, hostId, queued.get(turn.sessionId)!);
      left.delete(turn.id);
      if (atMs > nowMs) position += 1;
      places.set(turn.id, { position: atMs > nowMs ? position : 0, waitMs: atMs - nowMs, away: null, quota: reason });
      continue;
    }
    if (atMs === nowMs) {
      for (const { id, sessionId } of reachable) {
        if (left.has(id) && !running.has(sessionId) && hostFor(sessionId) !== null) why.set(id, fullFor(sessionId));
      }
    }
    const next = nextChange(atMs, running, retries);
    if (next === Infinity) break;
    atMs = next;
    for (const [sessionId, { endsAtMs, hostId: of, holder }] of running) {
      if (endsAtMs > atMs) continue;
      running.delete(sessionId);
      held.add(holder, -1);
      free.set(of, (free.get(of) ?? 0) + 1);
    }
  }
  for (const { id, sessionId } of state.waiting) {
    const away = awayOf(sessionId);
    if (away !== null) places.set(id, { position: (position += 1), waitMs: atMs - nowMs, away, quota: null });
  }
  return places;
}

/** When the next slot comes free or the next failed turn may be tried again; `retries` in order, those past are taken out. */
function nextChange(atMs: number, running: ReadonlyMap<string, { endsAtMs: number }>, retries: number[]): number {
  while (retries.length > 0 && retries[0]! <= atMs) retries.shift();
  let next = retries[0] ?? Infinity;
  for (const { endsAtMs } of running.values()) next = Math.min(next, endsAtMs);
  return next;
}
