import { afterEach, beforeEach, expect, test } from 'vitest';
import { BerthError } from '../../protocol/errors.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { Store } from '../ports/store.ts';
import { createWorld, type World } from '../testing/doubles.ts';

/** A store that cannot be written to for a while, as while its database restarts. */
let store: Store;
let world: World;
let core: Core;
let away = false;

beforeEach(async () => {
  away = false;
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld({
    ...store,
    transaction: (fn, options) =>
      away
        ? Promise.reject(new BerthError('unavailable', 'the database cannot be reached'))
        : store.transaction(fn, options),
  });
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
});
afterEach(async () => {
  await core.close();
  await store.close();
});

const stateOf = async (turnId: string) => (await store.read.turn(turnId))?.state;
const soon = { timeout: 10_000, interval: 5 };

async function prompted(): Promise<{ sessionId: string; turnId: string }> {
  const { id } = await core.sessions.create({ agent: 'any', permissions: 'ask' }, 'ada', AbortSignal.timeout(5_000));
  return { sessionId: id, turnId: (await core.sessions.prompt(id, { prompt: 'go' }, 'ada')).turn.id };
}

test('the last entry of a journal that could not be stored is stored afterwards, though nothing follows it', async () => {
  const { sessionId, turnId } = await prompted();
  await expect.poll(() => stateOf(turnId), soon).toBe('running');
  away = true;
  world.endTurn(turnId);
  await new Promise((resolve) => setTimeout(resolve, 60));
  away = false;
  await expect.poll(() => stateOf(turnId), soon).toBe('completed');
  const events = await store.read.events(sessionId, 0, 1000);
  expect(events.filter((event) => event.type === 'turn.ended')).toHaveLength(1);
});

test('a turn whose driver could not write is taken up again, and started once', async () => {
  world.failCreate = () => {
    away = true;
    return null;
  };
  const { turnId } = await prompted();
  await expect.poll(() => away, soon).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 60));
  world.failCreate = null;
  away = false;
  await expect.poll(() => stateOf(turnId), soon).toBe('running');
  expect(world.started).toEqual([turnId]);
  world.endTurn(turnId);
  await expect.poll(() => stateOf(turnId), soon).toBe('completed');
});
