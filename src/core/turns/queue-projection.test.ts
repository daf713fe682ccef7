import { describe, expect, test } from 'vitest';
import type { QueueTurn, QuotaRecord } from '../ports/store.ts';
import { slotQuotas } from '../quotas/slot-quotas.ts';
import { noQuotas } from '../quotas/subjects.ts';
import { estimateError } from './estimate-error.ts';
import { projectQueue } from './queue-projection.ts';
import { toQueueState } from './queue-state.ts';
import { createTurnTimes } from './turn-times.ts';

const startMs = Date.parse('2026-11-24T00:00:00.000Z');
const time = (seconds: number) => new Date(startMs + seconds * 1000).toISOString();
const policy = { ageingMs: 3_600_000, fairWindowMs: 600_000 };
let count = 0;

function turn(change: Partial<QueueTurn> = {}): QueueTurn {
  const ordinal = count++;
  return {
    id: `t${ordinal}`,
    ordinal,
    sessionId: `s${ordinal}`,
    owner: `o${ordinal}`,
    team: null,
    agent: 'any',
    sandboxStatus: null,
    hostId: null,
    state: 'queued',
    priority: 10,
    attempts: 0,
    retryAt: null,
    claimedAt: null,
    estimatedWaitMs: null,
    queuePosition: null,
    createdAt: time(0),
    startedAt: null,
    endedAt: null,
    ...change,
  };
}

const ended = (seconds: number, change: Partial<QueueTurn> = {}) =>
  turn({ state: 'completed', claimedAt: time(0), endedAt: time(seconds), ...change });

describe('places', () => {
  const places = (queued: QueueTurn[], active: QueueTurn[], slots: number, nowSeconds: number, past = [ended(100)], quotas: QuotaRecord[] = []) => {
    const nowMs = startMs + nowSeconds * 1000;
    const found = projectQueue(toQueueState(queued, active, nowMs), createTurnTimes(past), [{ id: 'h', slots, live: true }], slotQuotas(quotas, noQuotas), policy, nowMs);
    return queued.map((each) => [found.get(each.id)!.position, found.get(each.id)!.waitMs / 1000]);
  };
  const running = (claimedSeconds: number, change: Partial<QueueTurn> = {}) =>
    turn({ state: 'running', claimedAt: time(claimedSeconds), ...change });

  test('free slots mean no wait; beyond them the next end is waited for', () => {
    const queued = [turn(), turn(), turn(), turn()];
    expect(places(queued, [running(20)], 3, 60)).toEqual([
      [0, 0],
      [0, 0],
      [1, 60],
      [2, 100],
    ]);
  });

  test('a quota keeps its own turns waiting, and gives their places and waits by their own ends', () => {
    const quotas: QuotaRecord[] = [
      { subject: { kind: 'user', name: 'ada' }, quota: { slots: 1 } },
      { subject: { kind: 'team', name: 'crew' }, quota: { slots: 2 } },
    ];
    const ada = { owner: 'ada' };
    const crew = { team: 'crew' };
    const queued = [turn(ada), turn(ada), turn(), turn(crew), turn({ ...ada, ...crew }), turn(crew)];
    const at = places(queued, [running(20, ada), running(40, crew)], 9, 60, [ended(100)], quotas);
    expect(at).toEqual([
      [1, 60],
      [3, 160],
      [0, 0],
      [0, 0],
      // The user's quota and the team's both have to have room; it is behind his own.
      [4, 260],
      [2, 80],
    ]);
    expect(places(queued.slice(0, 2), [], 9, 60, [ended(100)], [])).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  test('a turn behind its own session waits for it, though slots are free', () => {
    const busy = running(0);
    const behind = turn({ sessionId: busy.sessionId });
    expect(places([behind, turn({ sessionId: behind.sessionId })], [busy], 5, 40)).toEqual([
      [1, 60],
      [2, 160],
    ]);
  });

  test('agents have their own times; one that outlasts them all may take half as long again', () => {
    const past = [ended(10, { agent: 'quick' }), ended(30, { agent: 'quick' }), ended(1000)];
    expect(places([turn()], [running(0, { agent: 'quick' })], 1, 20, past)).toEqual([[1, 10]]);
    expect(places([turn()], [running(0, { agent: 'quick' })], 1, 60, past)).toEqual([[1, 30]]);
    expect(places([turn({ agent: 'quick' }), turn()], [running(0)], 1, 0, past)).toEqual([
      [1, 1000],
      [2, 1020],
    ]);
  });

  test('before anything was measured two minutes are assumed', () => {
    expect(places([turn()], [running(0)], 1, 30, [])).toEqual([[1, 90]]);
  });

  test('one that waits after a failure takes no place until it is due', () => {
    expect(places([turn({ retryAt: time(15) }), turn()], [], 1, 0)).toEqual([
      [1, 100],
      [0, 0],
    ]);
  });

  test('more running than slots: all of those too many are waited for', () => {
    expect(places([turn()], [running(0), running(10), running(20)], 2, 20)).toEqual([[1, 90]]);
  });
});

test('the error of estimates is over those who waited or were told to', () => {
  const claimed = (waited: number, estimated: number | null, attempts = 1) =>
    turn({ claimedAt: time(waited), estimatedWaitMs: estimated === null ? null : estimated * 1000, attempts });
  expect(
    estimateError([claimed(0, 0), claimed(10, 4), claimed(0, 3), claimed(5, 0), claimed(9, null), claimed(60, 1, 3)]),
  ).toEqual({
    meanAbsoluteErrorSeconds: 4.667,
    count: 3,
  });
  expect(estimateError([])).toEqual({ meanAbsoluteErrorSeconds: null, count: 0 });
});
