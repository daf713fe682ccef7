import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createQueueOrder, orderQueue, type OrderPolicy, type ServedTurn, type WaitingTurn } from './queue-order.ts';
import { priorities } from './turn-states.ts';

const policy: OrderPolicy = { ageingMs: 1000, fairWindowMs: 2000 };
let count = 0;

function turn(change: Partial<WaitingTurn> = {}): WaitingTurn {
  const ordinal = count++;
  const id = `t${String(ordinal).padStart(6, '0')}`;
  return { id, sessionId: `s-${id}`, owner: 'ada', priority: 10, queuedAtMs: 0, ordinal, notBeforeMs: 0, ...change };
}

const classOf = fc.constantFrom<number>(...Object.values(priorities));
const ownerOf = fc.constantFrom('ada', 'bob', 'cid', 'dan', 'eve');
const waitingTurns = fc
  .array(
    fc.record({
      owner: ownerOf,
      priority: classOf,
      queuedAtMs: fc.integer({ min: 0, max: 9000 }),
      session: fc.integer({ min: 0, max: 40 }),
    }),
    { maxLength: 40 },
  )
  // A session has one owner.
  .map((all) => all.map(({ session, ...each }) => turn({ ...each, sessionId: `${each.owner}-${session}` })));
const servedTurns = fc.array(
  fc.record({
    sessionId: fc.constant('s'),
    owner: ownerOf,
    priority: classOf,
    claimedAtMs: fc.integer({ min: 0, max: 9000 }),
    endedAtMs: fc.option(fc.integer({ min: 0, max: 9000 })),
  }),
  { maxLength: 10 },
);
const ids = (turns: readonly WaitingTurn[]) => turns.map((each) => each.id);

describe('the order', () => {
  test('higher priority, then the owner who has had least, then age', () => {
    const [a1, a2] = [turn({ queuedAtMs: 1 }), turn({ queuedAtMs: 2 })];
    const b = turn({ owner: 'bob', queuedAtMs: 3 });
    const low = turn({ owner: 'cid', priority: 0, queuedAtMs: 0 });
    const high = turn({ owner: 'ada', priority: 20, queuedAtMs: 4 });
    // The start of `high` counts for ada, so bob goes before her next.
    expect(ids(orderQueue([low, a1, a2, b, high], [], policy, 10))).toEqual(ids([high, b, a1, a2, low]));
    const running: ServedTurn[] = [0, 1].map((at) => ({
      sessionId: 's',
      owner: 'bob',
      priority: 0,
      claimedAtMs: at,
      endedAtMs: null,
    }));
    expect(ids(orderQueue([low, a1, a2, b, high], running, policy, 10))).toEqual(ids([high, a1, a2, b, low]));
  });

  test('a start counts while it runs and within the window', () => {
    const [a, b] = [turn({ queuedAtMs: 9000 }), turn({ owner: 'bob', queuedAtMs: 9001 })];
    const start = (claimedAtMs: number, endedAtMs: number | null): ServedTurn[] => [
      { sessionId: 's', owner: 'ada', priority: 0, claimedAtMs, endedAtMs },
    ];
    expect(ids(orderQueue([a, b], start(100, 200), policy, 9002))).toEqual(ids([a, b]));
    expect(ids(orderQueue([a, b], start(8000, 8100), policy, 9002))).toEqual(ids([b, a]));
    expect(ids(orderQueue([a, b], start(100, null), policy, 9002))).toEqual(ids([b, a]));
  });

  test('a waiting turn goes up a class per period, and a flood behind it does not', () => {
    const old = turn({ owner: 'bob', priority: 0, queuedAtMs: 0 });
    const flood = Array.from({ length: 5 }, (_, at) => turn({ owner: 'bob', priority: 0, queuedAtMs: at + 1 }));
    const fresh = turn({ queuedAtMs: 2500 });
    expect(ids(orderQueue([...flood, fresh, old], [], policy, 999))).toEqual(ids([fresh, old, ...flood]));
    expect(ids(orderQueue([...flood, fresh, old], [], policy, 2600))).toEqual(ids([old, fresh, ...flood]));
  });

  test('what a session did first starts first, with the priority of what waits behind it', () => {
    const first = turn({ sessionId: 's', priority: 0, queuedAtMs: 5 });
    const urgent = turn({ sessionId: 's', priority: 20, queuedAtMs: 6 });
    const other = turn({ owner: 'bob', queuedAtMs: 0 });
    expect(ids(orderQueue([other, urgent, first], [], policy, 10))).toEqual(ids([first, urgent, other]));
  });

  test('a busy session and one that waits after a failure are passed over, with all that is theirs', () => {
    const [one, two] = [turn({ sessionId: 'a' }), turn({ sessionId: 'b', owner: 'bob', queuedAtMs: 1 })];
    const retry = turn({ sessionId: 'c', owner: 'cid', notBeforeMs: 500 });
    const behind = turn({ sessionId: 'c', owner: 'cid', queuedAtMs: 2, priority: 20 });
    const order = createQueueOrder([one, two, retry, behind], [], policy);
    expect(order.next(10, (id) => id === 'a')?.id).toBe(two.id);
    expect(order.next(10, (id) => id !== 'c')).toBeNull();
    expect(order.next(500, () => false)?.id).toBe(retry.id);
  });

  test('is total, and the same however the turns are listed', () => {
    fc.assert(
      fc.property(
        waitingTurns,
        servedTurns,
        fc.integer({ min: 9000, max: 20_000 }),
        fc.infiniteStream(fc.nat()),
        (turns, served, now, shuffle) => {
          const order = ids(orderQueue(turns, served, policy, now));
          expect(order.toSorted()).toEqual(ids(turns).toSorted());
          const keys = new Map(turns.map((each) => [each.id, shuffle.next().value!]));
          const shuffled = turns.toSorted((a, b) => keys.get(a.id)! - keys.get(b.id)!);
          expect(ids(orderQueue(shuffled, served.toReversed(), policy, now))).toEqual(order);
        },
      ),
    );
  });

  test('of one session it is the order of arrival', () => {
    fc.assert(
      fc.property(waitingTurns, servedTurns, fc.integer({ min: 9000, max: 20_000 }), (turns, served, now) => {
        const order = orderQueue(turns, served, policy, now);
        for (const sessionId of new Set(turns.map((each) => each.sessionId))) {
          const own = order.filter((each) => each.sessionId === sessionId);
          expect(own).toEqual(own.toSorted((a, b) => a.queuedAtMs - b.queuedAtMs || a.ordinal - b.ordinal));
        }
      }),
    );
  });

  test('within a class owners take turns: none is two starts ahead of one that waits', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ owner: ownerOf, queuedAtMs: fc.nat(900) }), { maxLength: 40 }), (all) => {
        const order = orderQueue(
          all.map((each) => turn(each)),
          [],
          policy,
          950,
        );
        const had = new Map<string, number>();
        order.forEach((started, at) => {
          const behind = new Set(order.slice(at).map((each) => each.owner));
          for (const owner of behind)
            expect((had.get(started.owner) ?? 0) - (had.get(owner) ?? 0)).toBeLessThanOrEqual(0);
          had.set(started.owner, (had.get(started.owner) ?? 0) + 1);
        });
      }),
    );
  });

  test("nothing starves: after three periods each other lane starts at most once before a turn that is its lane's first", () => {
    const arrival = fc.record({
      owner: ownerOf,
      priority: classOf,
      queuedAtMs: fc.nat(12_000),
      lengthMs: fc.integer({ min: 300, max: 1500 }),
    });
    fc.assert(
      fc.property(
        fc.array(arrival, { minLength: 30, maxLength: 60 }),
        fc.integer({ min: 1, max: 2 }),
        (arrivals, slots) => {
          const starts = simulate(
            arrivals.map(({ lengthMs, ...each }) => ({ turn: turn(each), lengthMs })),
            slots,
          );
          expect(starts).toHaveLength(arrivals.length);
          for (const mine of starts) {
            const lane = (each: WaitingTurn) => `${each.owner} ${each.priority}`;
            const ahead = starts.filter((each) => each.atMs < mine.atMs || starts.indexOf(each) < starts.indexOf(mine));
            const last = ahead.filter((each) => lane(each.turn) === lane(mine.turn)).at(-1);
            const overdueMs = Math.max(mine.turn.queuedAtMs, last?.atMs ?? 0) + 3 * policy.ageingMs;
            const late = ahead.filter((each) => each.atMs >= overdueMs && lane(each.turn) !== lane(mine.turn));
            const perLane = Map.groupBy(late, (each) => lane(each.turn));
            for (const [, more] of perLane) expect(more.length).toBeLessThanOrEqual(1);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

/** Slots that take the next turn as soon as they are free. */
function simulate(arrivals: { turn: WaitingTurn; lengthMs: number }[], slots: number) {
  const lengthMs = new Map(arrivals.map((each) => [each.turn.id, each.lengthMs]));
  const served: ServedTurn[] = [];
  const starts: { turn: WaitingTurn; atMs: number }[] = [];
  const waiting = new Set(arrivals.map((each) => each.turn));
  const times = new Set(arrivals.map((each) => each.turn.queuedAtMs));
  for (let nowMs = 0; waiting.size > 0;) {
    for (;;) {
      const arrived = [...waiting].filter((each) => each.queuedAtMs <= nowMs);
      const busy = served.filter((each) => each.endedAtMs! > nowMs).length;
      const past = served.map((each) => ({ ...each, endedAtMs: each.endedAtMs! > nowMs ? null : each.endedAtMs }));
      const next = busy >= slots ? null : createQueueOrder(arrived, past, policy).next(nowMs, () => false);
      if (next === null) break;
      waiting.delete(next);
      starts.push({ turn: next, atMs: nowMs });
      const endedAtMs = nowMs + lengthMs.get(next.id)!;
      served.push({
        sessionId: next.sessionId,
        owner: next.owner,
        priority: next.priority,
        claimedAtMs: nowMs,
        endedAtMs,
      });
      times.add(endedAtMs);
    }
    const later = [...times].filter((each) => each > nowMs);
    if (later.length > 0) nowMs = Math.min(...later);
  }
  return starts;
}
