import { priorities } from './turn-states.ts';

/**
 * The order in which waiting turns get slots. Pure: the dispatcher, the positions that callers see and the
 * estimates all come from here, so they cannot disagree.
 *
 * The turns of one owner and one priority form a *lane*, oldest first. Of the lanes that have a turn
 * which may start, the next turn comes from the one
 *
 * 1. of the highest level: its priority, raised by one class for each `ageingMs` that it went without a
 *    start while its first turn waited;
 * 2. then whose owner has had least: turns that hold a slot, and those started within `fairWindowMs`;
 * 3. then whose first turn is the oldest.
 *
 * A session's turns start in the order they came, so its first one has the priority of the highest
 * behind it.
 *
 * Nothing starves, and a flood gains nothing. A start sets its lane's age back to zero, so however much an
 * owner queues, ageing lifts one turn per lane and `ageingMs`. A lane's level has no ceiling: once it has
 * gone three periods without a start, each other lane starts at most one turn before it, and lanes that begin
 * to wait after that none.
 */
export interface QueueOrder {
  /** What would start next at this time, or `null`; sessions that are `busy` are passed over. Time goes forward from call to call. */
  next(nowMs: number, busy: (sessionId: string) => boolean): WaitingTurn | null;
  /** Takes a turn out as started. `endsAtMs`: when it gives the slot back, where that is foreseen. */
  take(turn: WaitingTurn, nowMs: number, endsAtMs: number | null): void;
}

export interface WaitingTurn {
  id: string;
  sessionId: string;
  owner: string;
  priority: number;
  queuedAtMs: number;
  /** Order of arrival, between turns of one millisecond. */
  ordinal: number;
  /** It waits for this after a failure. */
  notBeforeMs: number;
}

/** A turn that has had its slot. */
export interface ServedTurn {
  sessionId: string;
  owner: string;
  priority: number;
  claimedAtMs: number;
  /** `null` while it holds the slot. */
  endedAtMs: number | null;
}

export interface OrderPolicy {
  /** A lane that gets nothing for this long goes up one class. */
  ageingMs: number;
  /** How long a start counts as something its owner has had. */
  fairWindowMs: number;
}

const classStep = priorities.normal - priorities.background;

interface Candidate {
  turn: WaitingTurn;
  priority: number;
}

export function createQueueOrder(
  waiting: readonly WaitingTurn[],
  served: readonly ServedTurn[],
  policy: OrderPolicy,
): QueueOrder {
  const sessions = bySession(waiting);
  const lanes = new Map<string, Candidate[]>();
  const starts = new Map<string, ServedTurn[]>();
  const lastStartMs = new Map<string, number>();
  const shares = new Map<string, { atMs: number; count: number }>();
  const laneOfSession = new Map<string, string>();
  for (const turn of served) recordStart(turn);
  for (const turns of sessions.values()) enterLane(turns);
  for (const lane of lanes.values()) lane.sort((a, b) => byAge(a.turn, b.turn));

  function recordStart(turn: ServedTurn): void {
    const own = starts.get(turn.owner);
    if (own === undefined) starts.set(turn.owner, [turn]);
    else own.push(turn);
    shares.delete(turn.owner);
    const lane = laneOf(turn.owner, turn.priority);
    lastStartMs.set(lane, Math.max(lastStartMs.get(lane) ?? 0, turn.claimedAtMs));
  }

  /** Only a session's first turn stands in a lane: that of the highest priority in the session. */
  function enterLane(turns: readonly WaitingTurn[]): Candidate[] | null {
    const [turn] = turns;
    if (turn === undefined) return null;
    const priority = Math.max(...turns.map((each) => each.priority));
    const key = laneOf(turn.owner, priority);
    const lane = lanes.get(key) ?? [];
    lane.push({ turn, priority });
    lanes.set(key, lane);
    laneOfSession.set(turn.sessionId, key);
    return lane;
  }

  function shareOf(owner: string, nowMs: number): number {
    const known = shares.get(owner);
    if (known?.atMs === nowMs) return known.count;
    const since = nowMs - policy.fairWindowMs;
    const counts = (turn: ServedTurn) => turn.endedAtMs === null || turn.endedAtMs > nowMs || turn.claimedAtMs > since;
    // What does not count any more never will again.
    const counting = (starts.get(owner) ?? []).filter(counts);
    starts.set(owner, counting);
    shares.set(owner, { atMs: nowMs, count: counting.length });
    return counting.length;
  }

  return {
    next(nowMs, busy) {
      let best: { turn: WaitingTurn; level: number; share: number } | null = null;
      for (const [key, lane] of lanes) {
        const first = lane.find(({ turn }) => turn.notBeforeMs <= nowMs && !busy(turn.sessionId));
        if (first === undefined) continue;
        const { turn, priority } = first;
        const since = Math.max(turn.queuedAtMs, lastStartMs.get(key) ?? 0);
        const periods = Math.max(0, Math.floor((nowMs - since) / policy.ageingMs));
        const one = { turn, level: priority + periods * classStep, share: shareOf(turn.owner, nowMs) };
        if (best === null || (best.level - one.level || one.share - best.share || byAge(one.turn, best.turn)) < 0)
          best = one;
      }
      return best?.turn ?? null;
    },

    take(turn, nowMs, endsAtMs) {
      const left = sessions.get(turn.sessionId)?.filter((each) => each.id !== turn.id) ?? [];
      sessions.set(turn.sessionId, left);
      const key = laneOfSession.get(turn.sessionId) ?? '';
      const lane = lanes.get(key);
      laneOfSession.delete(turn.sessionId);
      lane?.splice(
        lane.findIndex((each) => each.turn.sessionId === turn.sessionId),
        1,
      );
      if (lane?.length === 0) lanes.delete(key);
      enterLane(left)?.sort((a, b) => byAge(a.turn, b.turn));
      recordStart({
        sessionId: turn.sessionId,
        owner: turn.owner,
        priority: turn.priority,
        claimedAtMs: nowMs,
        endedAtMs: endsAtMs,
      });
    },
  };
}

/** The whole order at one instant, as if slots came free one after the other without time passing. */
export function orderQueue(
  waiting: readonly WaitingTurn[],
  served: readonly ServedTurn[],
  policy: OrderPolicy,
  nowMs: number,
): WaitingTurn[] {
  const order = createQueueOrder(waiting, served, policy);
  const result: WaitingTurn[] = [];
  for (let turn = order.next(nowMs, never); turn !== null; turn = order.next(nowMs, never)) {
    order.take(turn, nowMs, null);
    result.push(turn);
  }
  return result;
}

const never = (): boolean => false;

function laneOf(owner: string, priority: number): string {
  return `${priority} ${owner}`;
}

function bySession(waiting: readonly WaitingTurn[]): Map<string, WaitingTurn[]> {
  const sessions = new Map<string, WaitingTurn[]>();
  for (const turn of waiting.toSorted(byAge)) {
    const own = sessions.get(turn.sessionId);
    if (own === undefined) sessions.set(turn.sessionId, [turn]);
    else own.push(turn);
  }
  return sessions;
}

function byAge(a: WaitingTurn, b: WaitingTurn): number {
  return a.queuedAtMs - b.queuedAtMs || a.ordinal - b.ordinal || (a.id < b.id ? -1 : 1);
}
