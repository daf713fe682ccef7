import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import { anyHost, type Queue } from '../ports/queue.ts';
import type { Store } from '../ports/store.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import { joinHosts, type Membership } from './membership.ts';

/** Two servers on one store, each with sandboxes of its own. */

interface Server {
  hostId: string;
  world: World;
  core: Core;
  membership: Membership;
}

const hour = 3_600_000;
let store: Store;
let servers: Server[] = [];
let looks: Map<string, () => Promise<boolean>>;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  looks = new Map();
});
afterEach(async () => {
  for (const server of servers) await end(server);
  servers = [];
  await store.close();
});

/** A bell that both hear. */
function bell(): Queue {
  let own = '';
  return {
    name: 'store',
    announce(to, at) {
      if (at !== undefined) return;
      for (const [hostId, look] of looks) if (to === anyHost || to === hostId) void look();
    },
    async listen(hostId, look) {
      own = hostId;
      looks.set(hostId, look);
    },
    hasRoom() {},
    close: async () => void looks.delete(own),
  };
}

async function boot(hostId: string, leaseMs = hour, before?: World): Promise<Server> {
  const seed = before ?? createWorld(store, { hostId, slots: 1 });
  const { clock, logger } = seed.deps;
  const membership = await joinHosts({
    store,
    clock: { now: () => clock.now(), sleep: (ms, signal) => sleep(ms, signal) },
    logger,
    host: { id: hostId, address: `http://${hostId}`, slots: 1, leaseMs },
  });
  const world = seed;
  world.deps = { ...seed.deps, store: membership.store, queue: bell() };
  const core = createCore(world.deps);
  membership.onReturn(() => core.rejoin());
  await core.start(AbortSignal.timeout(10_000));
  const server = { hostId, world, core, membership };
  servers.push(server);
  return server;
}

async function end(server: Server): Promise<void> {
  await server.core.close();
  await server.membership.close();
}

async function stop(server: Server): Promise<void> {
  servers = servers.filter((each) => each !== server);
  await end(server);
}

/** As if its lease had run out long ago. */
async function expire(hostId: string): Promise<void> {
  const [host] = (await store.read.hosts()).filter(({ id }) => id === hostId);
  await store.transaction((tx) => tx.renewLease(hostId, host!.epoch, -1000));
}

function sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, delayMs);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });
}

const until = (condition: () => unknown): Promise<void> =>
  expect.poll(async () => Boolean(await condition()), { timeout: 15_000, interval: 5 }).toBe(true);

async function prompted(core: Core, sessionId?: string): Promise<{ sessionId: string; turnId: string }> {
  const id =
    sessionId ??
    (await core.sessions.create({ agent: 'any', permissions: 'ask' }, 'ada', AbortSignal.timeout(5_000))).id;
  return { sessionId: id, turnId: (await core.sessions.prompt(id, { prompt: 'go' }, 'ada')).turn.id };
}

const stateOf = async (turnId: string) => (await store.read.turn(turnId))?.state;
const hostOf = async (sessionId: string) => (await store.read.session(sessionId))?.hostId;
const serverOf = async (sessionId: string) => {
  const hostId = await hostOf(sessionId);
  return servers.find((server) => server.hostId === hostId)!;
};

describe('two hosts', () => {
  test('take a turn each, and each only the turns of sessions that live there', async () => {
    const [a] = [await boot('hst_a'), await boot('hst_b')];
    const one = await prompted(a.core);
    const two = await prompted(a.core);
    await until(async () => (await stateOf(one.turnId)) === 'running' && (await stateOf(two.turnId)) === 'running');
    expect(new Set([await hostOf(one.sessionId), await hostOf(two.sessionId)]).size).toBe(2);
    for (const { sessionId, turnId } of [one, two]) {
      const home = await serverOf(sessionId);
      expect(home.world.started).toEqual([turnId]);
      home.world.endTurn(turnId);
      await until(async () => (await stateOf(turnId)) === 'completed');
      // Asked at either server it runs at home.
      const again = await prompted(a.core, sessionId);
      await until(async () => (await stateOf(again.turnId)) === 'running');
      expect(home.world.started).toEqual([turnId, again.turnId]);
      expect((await store.read.turn(again.turnId))?.hostId).toBe(home.hostId);
      home.world.endTurn(again.turnId);
      await until(async () => (await stateOf(again.turnId)) === 'completed');
    }
    expect((await a.core.hosts.list()).map(({ id, slots, used, live }) => [id, slots, used, live])).toEqual([
      ['hst_a', 1, 1, true],
      ['hst_b', 1, 1, true],
    ]);
  });

  test('a start recovers and cleans up what is its own alone', async () => {
    const a = await boot('hst_a');
    const one = await prompted(a.core);
    await until(async () => (await stateOf(one.turnId)) === 'running');
    const b = await boot('hst_b');
    expect(b.world.started).toEqual([]);
    expect(await stateOf(one.turnId)).toBe('running');
    expect(await hostOf(one.sessionId)).toBe('hst_a');
    await stop(b);
    b.world.sandboxes.set('sbx_orphan', { ...[...a.world.sandboxes.values()][0]!, id: 'sbx_orphan' });
    await boot('hst_b', hour, b.world);
    expect([...b.world.sandboxes.keys()]).toEqual([]);
    expect(a.world.sandboxes.size).toBe(1);
    a.world.endTurn(one.turnId);
    await until(async () => (await stateOf(one.turnId)) === 'completed');
  });

  test('the turns of a dead host wait and say so, and go on when it returns', async () => {
    const [a, b] = [await boot('hst_a'), await boot('hst_b')];
    const one = await prompted(a.core);
    await until(async () => (await stateOf(one.turnId)) === 'running');
    const [home, other] = (await hostOf(one.sessionId)) === 'hst_a' ? [a, b] : [b, a];
    await stop(home);
    await expire(home.hostId);

    const next = await prompted(other.core, one.sessionId);
    const overview = await other.core.queue.overview();
    expect(overview).toMatchObject({ slots: 1, queued: [{ turnId: next.turnId, away: home.hostId }] });
    expect((await other.core.sessions.admission((await store.read.turn(next.turnId))!)).message).toContain(home.hostId);
    // Others are not held up by it.
    const elsewhere = await prompted(other.core);
    await until(async () => (await stateOf(elsewhere.turnId)) === 'running');
    expect(await stateOf(next.turnId)).toBe('queued');

    home.world.endTurn(one.turnId);
    const back = await boot(home.hostId, hour, home.world);
    await until(async () => (await stateOf(one.turnId)) === 'completed');
    await until(async () => (await stateOf(next.turnId)) === 'running');
    expect(back.world.started).toEqual([one.turnId, next.turnId]);
  });

  test('a forgotten host gives its sessions up; they start again, and it removes what it has', async () => {
    const [a, b] = [await boot('hst_a'), await boot('hst_b')];
    const one = await prompted(a.core);
    await until(async () => (await stateOf(one.turnId)) === 'running');
    const [home, other] = (await hostOf(one.sessionId)) === 'hst_a' ? [a, b] : [b, a];
    const next = await prompted(other.core, one.sessionId);
    await expect(other.core.hosts.forget(home.hostId)).rejects.toMatchObject({ code: 'conflict' });
    await expect(other.core.hosts.forget('hst_none')).rejects.toMatchObject({ code: 'not_found' });
    await stop(home);
    await expire(home.hostId);

    await other.core.hosts.forget(home.hostId);
    expect(await store.read.turn(one.turnId)).toMatchObject({ state: 'failed', error: { code: 'sandbox_lost' } });
    expect(await other.core.queue.deadLetters({ limit: 9 })).toMatchObject([{ turnId: one.turnId }]);
    await until(async () => (await stateOf(next.turnId)) === 'running');
    expect(await hostOf(one.sessionId)).toBe(other.hostId);
    const log = await store.read.events(one.sessionId, 0, 1000);
    const said = log.flatMap((event) => (event.type === 'progress' ? [event.data.message] : []));
    expect(said).toContainEqual(expect.stringContaining('starting again from the base commit'));
    expect((await other.core.hosts.list()).map(({ id }) => id)).toEqual([other.hostId]);

    await boot(home.hostId, hour, home.world);
    expect(home.world.sandboxes.size).toBe(0);
  });

  test('a server that was away writes nothing until it has registered anew, and then takes up its turns', async () => {
    const a = await boot('hst_a', 300);
    const stopped = a.world.deps.store;
    await expire('hst_a');
    const { sessionId } = await prompted(a.core).catch(() => ({ sessionId: null }));
    // Refused while it is away; the next renewal finds out and registers.
    if (sessionId === null) await expect(stopped.read.hosts()).resolves.toMatchObject([{ id: 'hst_a' }]);
    await until(async () => (await store.read.hosts())[0]?.live);
    const one = await prompted(a.core);
    await until(async () => (await stateOf(one.turnId)) === 'running');
    a.world.endTurn(one.turnId);
    await until(async () => (await stateOf(one.turnId)) === 'completed');
  });

  test('an earlier epoch is refused, whatever it was in the middle of', async () => {
    const a = await boot('hst_a');
    await joinHosts({
      store,
      clock: a.world.deps.clock,
      logger: a.world.deps.logger,
      host: { id: 'hst_a', address: null, slots: 1, leaseMs: null },
    });
    await expect(a.world.deps.store.transaction(async () => {})).rejects.toMatchObject({
      code: 'unavailable',
      context: { hostId: 'hst_a' },
    });
  });

  test('what a version without hosts left belongs to the first host', async () => {
    await stop(await boot('hst_a'));
    await store.transaction((tx) => tx.deleteHost('hst_a'));
    const before = createWorld(store, { hostId: 'hst_a', slots: 1 });
    const core = createCore(before.deps);
    await core.start(AbortSignal.timeout(10_000));
    const one = await prompted(core);
    await until(async () => (await stateOf(one.turnId)) === 'running');
    await core.close();
    const { sandboxId } = (await store.read.session(one.sessionId))!;
    await store.transaction(async (tx) => {
      await tx.updateSandbox(sandboxId!, { hostId: null });
      await tx.updateTurn(one.turnId, { hostId: null });
    });
    before.endTurn(one.turnId);
    await boot('hst_new', hour, before);
    expect(await hostOf(one.sessionId)).toBe('hst_new');
  });
});
