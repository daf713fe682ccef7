import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { QueueOverview } from '../../protocol/api.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { SessionEvent } from '../../protocol/events.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { Settings } from '../dependencies.ts';
import type { Store } from '../ports/store.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import { createVirtualClock, type VirtualClock } from '../testing/virtual-clock.ts';
import { defaultQueueSettings } from './queue-settings.ts';
import { openTurnStates } from './turn-states.ts';

/** The queue over the whole core, a real store and no real time. */
const minute = 60_000;
let store: Store;
let world: World;
let core: Core;
let clock: VirtualClock;

async function boot(settings: Partial<Settings> = {}): Promise<void> {
  clock = createVirtualClock();
  world = createWorld(store, settings, clock);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
}

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
});
afterEach(async () => {
  await core.close();
  await store.close();
});

const newSession = async (owner = 'ada') =>
  (await core.sessions.create({ agent: 'any', permissions: 'ask' }, owner, AbortSignal.timeout(5_000))).id;
const prompt = async (id: string, more = {}) =>
  (await core.sessions.prompt(id, { prompt: 'go', ...more }, 'ada')).turn.id;
const stateOf = async (id: string) => (await store.read.turn(id))?.state;
const eventsOf = (id: string): Promise<SessionEvent[]> => store.read.events(id, 0, 1000);

/** Ends each turn so long after it started. */
function letTurnsEnd(lengthMs: () => number): void {
  world.onStarted = (id) => void clock.sleep(lengthMs()).then(() => world.endTurn(id));
}

/** Looks at the queue each time that a turn starts, until nothing is left. */
async function runToTheEnd(look: (overview: QueueOverview) => void = () => {}): Promise<void> {
  let started = -1;
  await clock.runUntil(async () => {
    if (world.started.length !== started) {
      started = world.started.length;
      look(await core.queue.overview());
    }
    return (
      (await store.read.queuedTurns()).length === 0 && (await store.read.turnsInState(openTurnStates)).length === 0
    );
  });
}

// Much work on one thread, which a busy machine shares out.
describe('200 turns from 10 owners of three priorities on 5 slots', { timeout: 240_000 }, () => {
  const slots = 5;
  const owners = Array.from({ length: 10 }, (_, at) => `owner-${at}`);
  const levels = ['premium', 'normal', 'background'] as const;

  test('start in the order told, none starves, all end', async () => {
    const order = { ageingMs: 20 * minute, fairWindowMs: 10 * minute };
    await boot({ slots, queue: { ...defaultQueueSettings, order } });
    letTurnsEnd(() => 2 * minute);
    const turns = new Map<string, { owner: string; level: (typeof levels)[number] }>();
    const expected: string[] = [];
    // The first five take the slots; what the queue says of the others is what must come.
    for (let round = 0; round < 20; round += 1) {
      for (const [at, owner] of owners.entries()) {
        const level = levels[(round + at) % levels.length]!;
        const id = await newSession(owner);
        turns.set(await prompt(id, { priority: level }), { owner, level });
      }
    }
    await clock.settle();
    const first = await core.queue.overview();
    expect(first).toMatchObject({ slots, running: slots });
    expect(first.queued.map((each) => each.position)).toEqual(first.queued.map((_, at) => at + 1));
    expected.push(...world.started, ...first.queued.map((each) => each.turnId));

    await runToTheEnd((overview) => {
      expect(overview.running).toBeLessThanOrEqual(slots);
      const waits = overview.queued.map((each) => each.estimatedWaitSeconds);
      expect(waits).toEqual(waits.toSorted((x, y) => x - y));
    });

    expect(world.started).toHaveLength(200);
    expect(new Set(world.started).size).toBe(200);
    expect(await store.read.turnsInState(openTurnStates)).toEqual([]);
    expect(await store.read.turnsInState(['completed'])).toHaveLength(200);
    // Every turn took the same time, so what was foreseen at the start is what came.
    expect(world.started).toEqual(expected);

    // Priority first, until a lane has waited for a period.
    const early = world.started.slice(0, 45).map((id) => turns.get(id)!.level);
    expect(early.slice(slots)).not.toContain('background');
    // Fair: of the premium turns no owner was more than one ahead of another that still waited.
    const premium = world.started
      .slice(slots)
      .map((id) => turns.get(id)!)
      .filter((each) => each.level === 'premium');
    const had = new Map(owners.map((owner) => [owner, 0]));
    premium.slice(0, 40).forEach(({ owner }) => had.set(owner, had.get(owner)! + 1));
    expect(Math.max(...had.values()) - Math.min(...had.values())).toBeLessThanOrEqual(2);
    // No starvation: while premium turns still waited, the lowest class had its starts too.
    const lastPremium = world.started.findLastIndex((id) => turns.get(id)!.level === 'premium');
    expect(world.started.slice(0, lastPremium).some((id) => turns.get(id)!.level === 'background')).toBe(true);
  });

  test('the estimates are near the waits once turns have been measured, and their error is told', async () => {
    await boot({ slots });
    let begun = 0;
    letTurnsEnd(() => minute + (begun++ % 5) * 10_000);
    const prompts = async (count: number) => {
      for (let at = 0; at < count; at += 1) await prompt(await newSession(owners[at % owners.length]!));
    };
    await prompts(20);
    await runToTheEnd();
    await prompts(180);
    await clock.settle();
    const told = await store.read.queuedTurns();
    await runToTheEnd();
    for (const { id, estimatedWaitMs } of told) {
      const turn = (await store.read.turn(id))!;
      const waitedMs = Date.parse(turn.claimedAt!) - Date.parse(turn.createdAt);
      expect(Math.abs(waitedMs - estimatedWaitMs!)).toBeLessThan(Math.max(2 * minute, waitedMs * 0.25));
    }
    const { estimate } = await core.queue.overview();
    expect(estimate.count).toBeGreaterThanOrEqual(175);
    expect(estimate.meanAbsoluteErrorSeconds).toBeLessThan(180);
  });
});

test('a session with more to do does not keep its slot from one that waits', async () => {
  await boot({ slots: 1 });
  const [a, b] = [await newSession('ada'), await newSession('bob')];
  const first = await prompt(a);
  const [second, other] = [await prompt(a), await prompt(b)];
  await clock.settle();
  world.endTurn(first);
  await clock.runUntil(() => world.started.length === 2);
  // Ada has just had one.
  expect(world.started[1]).toBe(other);
  world.endTurn(other);
  await clock.runUntil(() => world.started.length === 3);
  expect(world.started[2]).toBe(second);
});

test('a user has a priority of their own', async () => {
  await boot({ slots: 1, queue: { ...defaultQueueSettings, userPriorities: { ada: 'premium' } } });
  await prompt(await newSession('x'));
  const mine = await newSession('x');
  const theirs = (await core.sessions.prompt(await newSession('y'), { prompt: 'go' }, 'bob')).turn.id;
  const own = await prompt(mine);
  await clock.settle();
  expect((await core.queue.overview()).queued.map((each) => [each.turnId, each.priority])).toEqual([
    [own, 'premium'],
    [theirs, 'normal'],
  ]);
});

test('positions move live: at most once a second, only when they change', async () => {
  await boot({ slots: 1 });
  const ids = [];
  for (let at = 0; at < 5; at += 1) ids.push(await prompt(await newSession(`o${at}`)));
  await clock.settle();
  const last = (await store.read.turn(ids[4]!))!.sessionId;
  for (let at = 0; at < 4; at += 1) {
    await clock.runUntil(() => world.started.length === at + 1);
    world.endTurn(ids[at]!);
    // Two ends within a second are told as one move.
    await clock.pass(at === 0 ? 200 : 1500);
  }
  const told = (await eventsOf(last)).filter((event) => event.type === 'turn.queued' || event.type === 'turn.position');
  expect(told.map((event) => (event.data as { position: number }).position)).toEqual([4, 2, 1]);
  const times = told.map((event) => Date.parse(event.at));
  for (const [at, time] of times.slice(2).entries()) expect(time - times[at + 1]!).toBeGreaterThanOrEqual(1000);
});

describe('failures', () => {
  const unavailable = () => new BerthError('unavailable', 'not now');

  test('wait in the queue between attempts, while others use the slot; the last one is a dead letter', async () => {
    await boot({ slots: 1 });
    const [bad, good] = [await newSession('ada'), await newSession('bob')];
    world.failCreate = unavailable;
    const failing = await prompt(bad);
    await clock.settle();
    expect(await store.read.turn(failing)).toMatchObject({ state: 'queued', attempts: 1, retryAt: expect.any(String) });
    expect((await core.sessions.get(bad)).status).toBe('queued');
    world.failCreate = null;
    const other = await prompt(good);
    await clock.settle();
    expect(world.started).toEqual([other]);

    world.failCreate = unavailable;
    world.endTurn(other);
    await clock.runUntil(async () => (await stateOf(failing)) === 'failed');
    const [letter] = await core.queue.deadLetters({ limit: 10 });
    expect(letter).toMatchObject({
      turnId: failing,
      sessionId: bad,
      code: 'unavailable',
      message: 'not now',
      attempts: 4,
      replayedAt: null,
    });
    const retries = (await eventsOf(bad)).filter((event) => event.type === 'progress' && event.data.stage === 'retry');
    expect(retries).toHaveLength(3);
  });

  test('a dead letter is replayed once, as a new turn of its session', async () => {
    await boot({ slots: 1 });
    const session = await newSession();
    world.failCreate = () => new BerthError('repository_not_found', 'gone');
    const failed = await prompt(session, { priority: 'premium', webhookOnReady: 'https://example.org/hook' });
    await clock.runUntil(async () => (await stateOf(failed)) === 'failed');
    world.failCreate = null;
    const [one, two] = await Promise.all([core.queue.replay(failed, 'ada'), core.queue.replay(failed, 'ada')]);
    expect(two.id).toBe(one.id);
    expect(one).toMatchObject({ sessionId: session, prompt: [{ type: 'text', text: 'go' }], priority: 20 });
    await clock.runUntil(() => world.started.length === 1);
    world.endTurn(one.id);
    await clock.runUntil(async () => (await stateOf(one.id)) === 'completed');
    expect(await store.read.deadLetter(failed)).toMatchObject({ replayTurnId: one.id, replayedAt: expect.any(String) });
    expect(await core.queue.deadLetters({ limit: 10, waiting: true })).toEqual([]);
    await expect(core.queue.replay(one.id, 'ada')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('cancel works while it waits, waits for a retry, is being started, and runs', async () => {
    await boot({ slots: 1 });
    const session = await newSession();
    const cancelled = async (id: string) => {
      await core.sessions.interrupt(session, 'ada');
      await clock.settle();
      expect(await stateOf(id)).toBe('cancelled');
    };

    world.failCreate = unavailable;
    const retrying = await prompt(session);
    await clock.settle();
    expect(await store.read.turn(retrying)).toMatchObject({ state: 'queued', attempts: 1 });
    await cancelled(retrying);

    world.failCreate = null;
    const busy = await prompt(await newSession('bob'));
    const queued = await prompt(session);
    await clock.settle();
    expect(await stateOf(queued)).toBe('queued');
    await cancelled(queued);
    world.endTurn(busy);
    await clock.runUntil(async () => (await stateOf(busy)) === 'completed');

    const { installer } = world.deps;
    const ready = Promise.withResolvers<string>();
    installer.ensure = (_agent, _say, signal) => {
      signal.addEventListener('abort', () => ready.reject(signal.reason as Error));
      return ready.promise;
    };
    const starting = await prompt(session);
    await clock.settle();
    expect(await stateOf(starting)).toBe('starting');
    await cancelled(starting);
    installer.ensure = async () => '/layer';

    const running = await prompt(session);
    await clock.runUntil(async () => (await stateOf(running)) === 'running');
    await core.sessions.interrupt(session, 'ada');
    await clock.runUntil(async () => (await stateOf(running)) === 'cancelled');
    expect(world.started).toEqual([busy, running]);
    expect(await core.queue.deadLetters({ limit: 10 })).toEqual([]);
  });
});
