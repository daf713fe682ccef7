import { afterEach, beforeEach, expect, test } from 'vitest';
import { BerthError } from '../../protocol/errors.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { Store } from '../ports/store.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import { createVirtualClock, type VirtualClock } from '../testing/virtual-clock.ts';

/** How the dispatcher makes room. */
const slots = 5;
const hibernateMs = 10_000;
let store: Store;
let world: World;
let core: Core;
let clock: VirtualClock;
let underWay: Set<string>;
let most: number;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  clock = createVirtualClock();
  world = createWorld(store, { slots }, clock);
  underWay = new Set();
  most = 0;
  const { provider } = world;
  const { hibernate } = provider;
  provider.hibernate = async (id, options) => {
    expect(underWay.has(id)).toBe(false);
    underWay.add(id);
    most = Math.max(most, underWay.size);
    await clock.sleep(hibernateMs);
    underWay.delete(id);
    return hibernate(id, options);
  };
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
});
afterEach(async () => {
  await core.close();
  await store.close();
});

async function prompt(sessionId?: string): Promise<{ sessionId: string; turnId: string }> {
  const signal = AbortSignal.timeout(5_000);
  const id = sessionId ?? (await core.sessions.create({ agent: 'any', permissions: 'ask' }, 'ada', signal)).id;
  return { sessionId: id, turnId: (await core.sessions.prompt(id, { prompt: 'go' }, 'ada')).turn.id };
}

/** As many sessions as slots, each with a turn that has ended. */
async function fillWithIdle(): Promise<string[]> {
  const idle = [];
  for (let at = 0; at < slots; at += 1) {
    const { sessionId, turnId } = await prompt();
    await clock.runUntil(() => world.started.includes(turnId));
    world.endTurn(turnId);
    await clock.runUntil(async () => (await store.read.turn(turnId))?.state === 'completed');
    idle.push(sessionId);
    await clock.pass(1_000);
  }
  return idle;
}

test('several sandboxes are put to rest beside each other, never too many, and each slot is taken as it comes free', async () => {
  await fillWithIdle();
  const waiting = [];
  for (let at = 0; at < slots; at += 1) waiting.push(await prompt());
  await clock.runUntil(() => underWay.size === 3);
  await clock.pass(hibernateMs);
  await clock.runUntil(() => world.started.length === slots + 3);
  await clock.runUntil(() => world.started.length === slots * 2);
  expect(most).toBe(3);
  expect(world.started.slice(slots)).toEqual(waiting.map(({ turnId }) => turnId));
  expect((await core.pool.overview()).evictions).toBe(slots);
});

test('no more is put to rest than turns wait for, the longest unused first', async () => {
  const idle = await fillWithIdle();
  const { turnId } = await prompt();
  await clock.runUntil(() => world.started.includes(turnId));
  expect(most).toBe(1);
  expect((await core.sessions.get(idle[0]!)).status).toBe('hibernated');
  expect((await core.pool.overview()).sandboxes).toEqual({ hibernated: 1, running: slots });
});

test('one that cannot be put to rest is let alone for a while; those behind it are tried, and the turn is not lost', async () => {
  const idle = await fillWithIdle();
  const stuck = (await core.sessions.get(idle[0]!)).sandboxId!;
  const { hibernate, stop } = world.provider;
  const failing =
    (call: typeof stop): typeof stop =>
    (id, options) =>
      id === stuck ? Promise.reject(new BerthError('upstream_failed', 'it does not rest')) : call(id, options);
  world.provider.hibernate = failing(hibernate);
  world.provider.stop = failing(stop);
  const { turnId } = await prompt();
  await clock.runUntil(() => world.started.includes(turnId));
  expect((await core.sessions.get(idle[1]!)).status).toBe('hibernated');
  expect((await store.read.sandbox(stuck))?.status).toBe('running');
});
