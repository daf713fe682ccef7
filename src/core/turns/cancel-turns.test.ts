import { afterEach, beforeEach, expect, test } from 'vitest';
import { BerthError } from '../../protocol/errors.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { Store } from '../ports/store.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import { createVirtualClock, type VirtualClock } from '../testing/virtual-clock.ts';

let store: Store;
let world: World;
let core: Core;
let clock: VirtualClock;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  clock = createVirtualClock();
  world = createWorld(store, { slots: 1 }, clock);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
});
afterEach(async () => {
  await core.close();
  await store.close();
});

const newSession = async () =>
  (await core.sessions.create({ agent: 'any', permissions: 'ask' }, 'ada', AbortSignal.timeout(5_000))).id;
const prompt = async (id: string) => (await core.sessions.prompt(id, { prompt: 'go' }, 'ada')).turn.id;
const stateOf = async (id: string) => (await store.read.turn(id))?.state;
const until = (condition: () => boolean | Promise<boolean>) => clock.runUntil(condition, 10 * 60_000);
const endings = async (id: string) =>
  (await store.read.events(id, 0, 1000)).flatMap((event) => (event.type === 'turn.ended' ? [event.data.outcome] : []));

test('one that waits for a slot ends at once, and those beside it go on', async () => {
  const [holder, id] = [await newSession(), await newSession()];
  const running = await prompt(holder);
  await until(() => world.started.length === 1);
  const [first, second] = [await prompt(id), await prompt(id)];
  expect(await core.sessions.cancelTurn(id, first, 'ada')).toMatchObject({ state: 'cancelled' });
  expect(await core.sessions.cancelTurn(id, first, 'ada')).toMatchObject({ state: 'cancelled' });
  expect([await stateOf(running), await stateOf(second)]).toEqual(['running', 'queued']);
  expect(await endings(id)).toEqual(['cancelled']);
  await expect(core.sessions.cancelTurn(holder, second, 'ada')).rejects.toMatchObject({ code: 'not_found', field: 'turnId' });
  world.endTurn(running);
  await until(() => world.started.length === 2);
  expect(world.started).toEqual([running, second]);
});

test('one that waits to be tried again, and one that is being started', async () => {
  world.failCreate = () => new BerthError('unavailable', 'not now');
  const id = await newSession();
  const retried = await prompt(id);
  await until(async () => (await store.read.turn(retried))?.retryAt != null);
  expect(await core.sessions.cancelTurn(id, retried, 'ada')).toMatchObject({ state: 'cancelled', retryAt: null });

  const { create } = world.provider;
  let called = false;
  world.provider.create = (_, { signal }) => {
    called = true;
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  };
  const starting = await prompt(id);
  await until(() => called);
  expect(await stateOf(starting)).toBe('starting');
  await core.sessions.cancelTurn(id, starting, 'ada');
  await until(async () => (await stateOf(starting)) === 'cancelled');
  world.provider.create = create;
  expect(await endings(id)).toEqual(['cancelled', 'cancelled']);
});

test('one that runs is ended by its runner, and the next of its session starts', async () => {
  const id = await newSession();
  const [first, second] = [await prompt(id), await prompt(id)];
  await until(async () => (await stateOf(first)) === 'running');
  await core.sessions.cancelTurn(id, first, 'ada');
  await until(() => world.started.length === 2);
  expect([await stateOf(first), await stateOf(second)]).toEqual(['cancelled', 'running']);
});
