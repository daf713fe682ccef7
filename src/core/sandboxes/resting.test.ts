import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { Settings } from '../dependencies.ts';
import type { Store } from '../ports/store.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import { createVirtualClock, type VirtualClock } from '../testing/virtual-clock.ts';

const minute = 60_000;
const hour = 60 * minute;
const idle: Settings['idle'] = {
  pauseMs: 2 * minute,
  hibernateMs: 15 * minute,
  archiveMs: 2 * hour,
  lastStep: 'archive',
  hibernateAskingMs: 30 * minute,
};

let store: Store;
let world: World;
let core: Core;
let clock: VirtualClock;

async function boot(settings: Partial<Settings> = {}): Promise<void> {
  clock = createVirtualClock();
  world = createWorld(store, { slots: 2, idle, ...settings }, clock);
  await start();
}
async function start(): Promise<void> {
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
}
async function restart(): Promise<void> {
  await core.close();
  await start();
}

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
});
afterEach(async () => {
  await core.close();
  await store.close();
});

const signal = () => AbortSignal.timeout(10_000);
const newSession = async (more = {}) =>
  (await core.sessions.create({ agent: 'any', permissions: 'ask', ...more }, 'ada', signal())).id;
const prompt = async (id: string) => (await core.sessions.prompt(id, { prompt: 'go' }, 'ada')).turn.id;
const statusOf = async (id: string) => (await core.sessions.get(id)).status;

/** A session whose first turn has ended. */
async function usedSession(more = {}): Promise<string> {
  const id = await newSession(more);
  const turn = await prompt(id);
  await clock.runUntil(() => world.started.includes(turn));
  world.endTurn(turn);
  await clock.runUntil(async () => (await core.sessions.turn(id, turn)).state === 'completed');
  return id;
}

/** A session whose turn waits for the answer to `req`. */
async function askingSession(): Promise<{ id: string; turn: string }> {
  const id = await newSession();
  const turn = await prompt(id);
  await clock.runUntil(() => world.started.includes(turn));
  world.ask(turn, 'req');
  await clock.runUntil(async () => (await statusOf(id)) === 'asking');
  return { id, turn };
}

describe('a session that nobody uses', () => {
  test('is paused, hibernated and archived in turn, and any access brings it back', async () => {
    await boot();
    const id = await usedSession();
    await clock.pass(3 * minute);
    expect(await statusOf(id)).toBe('paused');
    await clock.pass(15 * minute);
    expect(await statusOf(id)).toBe('hibernated');
    await core.sessions.wake(id, signal(), 'ada');
    expect(await statusOf(id)).toBe('idle');
    await clock.pass(16 * minute);
    expect(await statusOf(id)).toBe('hibernated');
    await clock.pass(2 * hour);
    expect(await core.sessions.get(id)).toMatchObject({ status: 'stopped', archivedAt: expect.any(String) });
    expect(await core.sessions.list({ limit: 10, archived: false })).toEqual([]);
    await core.sessions.withRunner(id, signal(), async () => {});
    expect(await core.sessions.get(id)).toMatchObject({ status: 'idle', archivedAt: null });
  });

  test('has times of its own, and is destroyed where that is its last step', async () => {
    await boot();
    const times = { pauseSeconds: null, hibernateSeconds: null, archiveSeconds: 3600, lastStep: 'destroy' as const };
    const own = await usedSession({ idle: times });
    const pools = await usedSession();
    await clock.pass(20 * minute);
    expect([await statusOf(own), await statusOf(pools)]).toEqual(['idle', 'hibernated']);
    await core.sessions.update(pools, { idle: { archiveSeconds: null } }, 'ada');
    await clock.pass(hour);
    await expect(core.sessions.get(own)).rejects.toMatchObject({ code: 'not_found' });
    expect(await store.read.sandboxes()).toHaveLength(1);
    expect(world.sandboxes.size).toBe(1);
    await clock.pass(3 * hour);
    expect(await statusOf(pools)).toBe('hibernated');
  });

  test('is as long unused after a restart of the server as it was before', async () => {
    await boot();
    const id = await usedSession();
    await clock.pass(minute);
    await restart();
    await clock.pass(1.6 * minute);
    expect(await statusOf(id)).toBe('paused');
  });

  test('is not put to rest while a stream is held, however often the server looks', async () => {
    await boot({ slots: 1 });
    const id = await usedSession();
    const release = core.sessions.hold(id);
    await clock.pass(hour);
    expect(await statusOf(id)).toBe('idle');
    const other = await newSession();
    const waiting = await prompt(other);
    await clock.pass(minute);
    expect((await core.sessions.turn(other, waiting)).state).toBe('queued');
    release();
    await clock.settle();
    expect(await statusOf(id)).toBe('hibernated');
  });

  test('a long turn counts as use until it ends', async () => {
    await boot();
    const id = await newSession();
    const turn = await prompt(id);
    await clock.runUntil(() => world.started.includes(turn));
    await clock.pass(hour);
    world.endTurn(turn);
    await clock.pass(minute);
    expect(await statusOf(id)).toBe('idle');
  });

  test('a thousand that sleep are looked at by one query', async () => {
    await boot();
    const id = await usedSession();
    await clock.pass(20 * minute);
    const template = (await store.read.session(id))!;
    const sandbox = (await store.read.sandbox(template.sandboxId!))!;
    await core.close();
    await store.transaction(async (tx) => {
      for (let at = 0; at < 1000; at += 1) {
        await tx.insertSession({ ...template, id: `ses_${at}`, sandboxId: `sbx_${at}`, lastSeq: 0 });
        await tx.insertSandbox({ ...sandbox, id: `sbx_${at}`, sessionId: `ses_${at}` });
        world.sandboxes.set(`sbx_${at}`, { ...world.sandboxes.get(sandbox.id)!, id: `sbx_${at}` });
      }
    });
    await start();
    const counted = { ...store.read };
    let reads = 0;
    for (const [name, read] of Object.entries(counted) as [keyof typeof counted, (...args: never[]) => unknown][]) {
      store.read[name] = ((...args: never[]) => ((reads += 1), read(...args))) as never;
    }
    await clock.pass(31_000);
    Object.assign(store.read, counted);
    expect(reads).toBeLessThan(20);
    expect((await store.read.sandboxes({ statuses: ['hibernated'] })).length).toBe(1001);
  });
});

describe('a turn that waits for an answer', () => {
  test('hibernates with its question, and the answer wakes it and goes on', async () => {
    await boot();
    const { id, turn } = await askingSession();
    await clock.pass(20 * minute);
    expect((await store.read.sandboxUses())[0]).toMatchObject({ status: 'running', work: 'asking' });
    await clock.pass(15 * minute);
    expect((await store.read.sandboxUses())[0]).toMatchObject({ status: 'hibernated', work: 'asking' });
    expect(await statusOf(id)).toBe('asking');
    await core.sessions.answerPermission(id, 'req', 'yes', 'ada');
    await clock.runUntil(async () => (await statusOf(id)) === 'running');
    expect(await store.read.permission(id, 'req')).toMatchObject({ state: 'selected', optionId: 'yes' });
    world.endTurn(turn);
    await clock.runUntil(async () => (await core.sessions.turn(id, turn)).state === 'completed');
  });

  test('gives up its slot to one that waits, and sleeps on over a restart', async () => {
    await boot({ slots: 1 });
    const { id, turn } = await askingSession();
    const other = await usedSession();
    expect((await store.read.sandboxUses({ sessionId: id }))[0]).toMatchObject({ status: 'hibernated' });
    await restart();
    await clock.pass(minute);
    expect((await store.read.sandboxUses({ sessionId: id }))[0]).toMatchObject({ status: 'hibernated' });
    expect((await core.sessions.turn(id, turn)).state).toBe('running');
    expect(await statusOf(id)).toBe('asking');
    await core.sessions.answerPermission(id, 'req', 'no', 'ada');
    expect((await store.read.sandboxUses({ sessionId: other }))[0]).toMatchObject({ status: 'hibernated' });
    world.endTurn(turn);
    await clock.runUntil(async () => (await core.sessions.turn(id, turn)).state === 'completed');
  });

  test('is answered where it sleeps while every slot is taken: the answer is kept, over a restart too', async () => {
    await boot({ slots: 1 });
    const { id, turn } = await askingSession();
    await core.sessions.rest(id, 'hibernate', 'ada');
    const other = await newSession();
    const busy = await prompt(other);
    await clock.runUntil(() => world.started.includes(busy));
    let answered = false;
    void core.sessions.answerPermission(id, 'req', 'yes', 'ada').then(() => (answered = true));
    await clock.runUntil(() => answered);
    expect(await store.read.keptAnswers()).toMatchObject([{ sessionId: id, optionId: 'yes', answeredBy: 'ada' }]);
    await expect(core.sessions.answerPermission(id, 'req', 'no', 'bob')).rejects.toMatchObject({ code: 'conflict' });
    await restart();
    world.endTurn(busy);
    await clock.runUntil(async () => (await statusOf(id)) === 'running');
    expect(await store.read.permission(id, 'req')).toMatchObject({
      state: 'selected',
      optionId: 'yes',
      answeredBy: 'ada',
    });
    world.endTurn(turn);
    await clock.runUntil(async () => (await core.sessions.turn(id, turn)).state === 'completed');
  });

  test('is cancelled where it sleeps', async () => {
    await boot();
    const { id, turn } = await askingSession();
    await core.sessions.rest(id, 'hibernate', 'ada');
    expect(await core.sessions.interrupt(id, 'ada')).toEqual({ interrupted: turn });
    await clock.runUntil(async () => (await core.sessions.turn(id, turn)).state === 'cancelled');
  });

  test('is cancelled later where every slot is taken', async () => {
    await boot({ slots: 1 });
    const { id, turn } = await askingSession();
    await core.sessions.rest(id, 'hibernate', 'ada');
    const other = await newSession();
    const busy = await prompt(other);
    await clock.runUntil(() => world.started.includes(busy));
    let told = false;
    void core.sessions.interrupt(id, 'ada').then(() => (told = true));
    await clock.runUntil(() => told);
    expect((await core.sessions.turn(id, turn)).state).toBe('running');
    world.endTurn(busy);
    await clock.runUntil(async () => (await core.sessions.turn(id, turn)).state === 'cancelled');
  });

  test('is woken when its question has expired, since only its runner can refuse it', async () => {
    await boot();
    const { id } = await askingSession();
    await core.sessions.rest(id, 'hibernate', 'ada');
    await clock.pass(61 * minute);
    expect((await store.read.sandboxUses({ sessionId: id }))[0]?.status).toBe('running');
  });

  test('cannot be stopped, which would end the agent that asks', async () => {
    await boot();
    const { id } = await askingSession();
    for (const step of ['stop', 'archive'] as const) {
      await expect(core.sessions.rest(id, step, 'ada')).rejects.toMatchObject({ code: 'conflict', field: 'step' });
    }
    expect(await statusOf(id)).toBe('asking');
  });
});

test('rest by hand: what rests more deeply already is left as it is', async () => {
  await boot();
  const id = await usedSession();
  const rest = async (step: 'pause' | 'hibernate' | 'stop' | 'archive') => {
    const { status, archivedAt } = await core.sessions.rest(id, step, 'ada');
    return [status, archivedAt !== null];
  };
  expect(await rest('pause')).toEqual(['paused', false]);
  expect(await rest('hibernate')).toEqual(['hibernated', false]);
  expect(await rest('pause')).toEqual(['hibernated', false]);
  expect(await rest('stop')).toEqual(['stopped', false]);
  expect(await rest('hibernate')).toEqual(['stopped', false]);
  expect(await rest('archive')).toEqual(['stopped', true]);
  expect(await rest('archive')).toEqual(['stopped', true]);
  const fresh = await newSession();
  expect(await core.sessions.rest(fresh, 'archive', 'ada')).toMatchObject({ status: 'idle', archivedAt: expect.any(String) });
});

test('work that came while a sandbox was hibernated is done right after', async () => {
  await boot();
  const id = await usedSession();
  const gate = Promise.withResolvers<void>();
  world.beforeProvider = (operation) => (operation === 'hibernate' ? gate.promise : Promise.resolve());
  const resting = core.sessions.rest(id, 'hibernate', 'ada');
  await clock.settle();
  const turn = await prompt(id);
  await clock.settle();
  gate.resolve();
  await resting;
  await clock.runUntil(() => world.started.includes(turn));
  expect(await statusOf(id)).toBe('running');
});

test('times that do not follow each other are refused, naming the field', async () => {
  await boot();
  const id = await newSession();
  const refused = (change: object) => core.sessions.update(id, { idle: change }, 'ada').catch((error: unknown) => error);
  expect(await refused({ pauseSeconds: 3600 })).toMatchObject({
    code: 'invalid_request',
    field: 'idle.pauseSeconds',
    message: "pauseSeconds (3600) must be less than hibernateSeconds (900, the pool's)",
  });
  expect(await refused({ hibernateSeconds: 60 })).toMatchObject({ field: 'idle.hibernateSeconds' });
  expect(await refused({ pauseSeconds: null, hibernateSeconds: 60 })).toMatchObject({ idle: { hibernateMs: 60_000 } });
  expect((await core.sessions.update(id, { idle: null }, 'ada')).idle).toBeNull();
});
