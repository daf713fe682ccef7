import { afterEach, beforeEach, expect, test } from 'vitest';
import { BerthError } from '../../protocol/errors.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { Settings } from '../dependencies.ts';
import type { SandboxRecord, Store } from '../ports/store.ts';
import { createWorld, type World } from '../testing/doubles.ts';

let store: Store;
let world: World;
let core: Core;

async function boot(settings: Partial<Settings> = {}): Promise<void> {
  world = createWorld(store, { slots: 3, warm: { count: 1, preclone: [], mirrorConnected: false }, ...settings });
  await start();
}

async function start(): Promise<void> {
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

const newSession = (more = {}) =>
  core.sessions.create({ agent: 'any', permissions: 'ask', ...more }, 'ada', AbortSignal.timeout(5_000));
const use = (id: string) => core.sessions.withRunner(id, AbortSignal.timeout(5_000), async (_, session) => session);
const warmOnes = async () =>
  (await store.read.sandboxes({ unowned: true, statuses: ['running'] })).filter((each) => each.warm !== null);

async function until<T>(look: () => Promise<T | false>): Promise<T> {
  for (const deadline = Date.now() + 10_000; ;) {
    const found = await look();
    if (found !== false) return found;
    if (Date.now() > deadline) throw new Error('the condition never came true');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
const untilWarm = (count: number): Promise<SandboxRecord[]> =>
  until(async () => {
    const found = await warmOnes();
    return found.length === count && found;
  });

test('a session claims the warm one as its own, with its limits and an empty workspace, and another is made', async () => {
  await boot();
  const [warm] = await untilWarm(1);
  const limits = { cpus: 2 };
  const session = await newSession({ limits });
  expect(await use(session.id)).toMatchObject({ sandboxId: warm!.id, baseCommit: 'base' });
  expect(await store.read.sandbox(warm!.id)).toMatchObject({ sessionId: session.id, warm: null, status: 'running' });
  expect(world.sandboxes.get(warm!.id)).toMatchObject({
    labels: { session: session.id },
    limits: { ...world.deps.settings.defaultLimits, ...limits },
  });
  const [next] = await untilWarm(1);
  expect(next!.id).not.toBe(warm!.id);
});

test('of several that claim at once each gets one of its own', async () => {
  await boot({ slots: 6, warm: { count: 3, preclone: [], mirrorConnected: false } });
  await untilWarm(3);
  const sessions = await Promise.all(Array.from({ length: 5 }, () => newSession()));
  await Promise.all(sessions.map(({ id }) => use(id)));
  const owned = await store.read.sandboxes();
  const ids = await Promise.all(sessions.map(async ({ id }) => (await core.sessions.get(id)).sandboxId));
  expect(new Set(ids).size).toBe(5);
  for (const { id } of sessions) expect(owned.filter(({ sessionId }) => sessionId === id)).toHaveLength(1);
});

test('they lie in free slots: a session that needs the slot has it at once, and the warm one goes', async () => {
  await boot({ slots: 1 });
  await untilWarm(1);
  // A template that no warm one has.
  const session = await newSession({ template: 'other' });
  await use(session.id);
  await untilWarm(0);
  await until(async () => world.sandboxes.size === 1);
  await core.sessions.delete(session.id, 'ada');
  await untilWarm(1);
});

test('one with a repository goes to sessions on that repository only', async () => {
  const url = 'https://example.com/a/b.git';
  world = createWorld(store, { slots: 4, warm: { count: 1, preclone: [url], mirrorConnected: false } });
  const fetched: string[] = [];
  world.deps.git = {
    ...world.deps.git,
    updateMirror: async (from) => {
      fetched.push(from);
      return { url: from, objectsDir: '/objects', defaultBranch: 'main' };
    },
    clone: async () => ({ baseCommit: 'cloned' }),
  };
  await start();
  const both = await untilWarm(2);
  const ofRepository = both.find((each) => each.warm?.repositoryUrl === url)!;
  expect(fetched).toContain(url);
  const plain = await newSession();
  const other = await newSession();
  expect((await use(plain.id)).sandboxId).not.toBe(ofRepository.id);
  expect((await use(other.id)).sandboxId).not.toBe(ofRepository.id);
  const on = await newSession({ repository: url });
  expect(await use(on.id)).toMatchObject({ sandboxId: ofRepository.id, baseCommit: 'cloned' });
});

test('a restart keeps what is sound, and removes what was being made, ended or is outdated', async () => {
  await boot({ slots: 6, warm: { count: 3, preclone: [], mirrorConnected: false } });
  const [sound, ended, outdated] = await untilWarm(3);
  await core.close();
  const at = new Date().toISOString();
  await store.transaction((tx) =>
    tx.insertSandbox({ ...sound!, id: 'sbx_half', status: 'creating', warm: null, createdAt: at, updatedAt: at }),
  );
  world.sandboxes.set('sbx_half', { ...world.sandboxes.get(sound!.id)!, id: 'sbx_half' });
  world.sandboxes.set(ended!.id, { ...world.sandboxes.get(ended!.id)!, status: 'stopped' });
  world.sandboxes.set(outdated!.id, { ...world.sandboxes.get(outdated!.id)!, outdated: true });
  world.failCreate = () => new BerthError('unavailable', 'not now');
  await start();
  expect((await store.read.sandboxes()).map(({ id }) => id)).toEqual([sound!.id]);
  expect([...world.sandboxes.keys()]).toEqual([sound!.id]);
});

test('a failure leaves nothing and is tried again; a shortage holds back', async () => {
  world = createWorld(store, { slots: 3, warm: { count: 1, preclone: [], mirrorConnected: false } });
  let failures = 2;
  world.failCreate = () => (failures-- > 0 ? new BerthError('unavailable', 'not now') : null);
  await start();
  await untilWarm(1);
  expect(await store.read.sandboxes()).toHaveLength(1);
  await core.close();

  world.deps.hostPressure = async () => 'no memory';
  await start();
  const { id } = await newSession();
  await use(id);
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(await warmOnes()).toEqual([]);
});

test('one that died is started again by the session that claims it', async () => {
  await boot();
  const [warm] = await untilWarm(1);
  world.sandboxes.set(warm!.id, { ...world.sandboxes.get(warm!.id)!, status: 'stopped' });
  const session = await newSession();
  expect((await use(session.id)).sandboxId).toBe(warm!.id);
  expect(world.sandboxes.get(warm!.id)).toMatchObject({ status: 'running', labels: { session: session.id } });
});
