import { afterEach, beforeEach, expect, test } from 'vitest';
import { BerthError, type ErrorCode } from '../../protocol/errors.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { Store } from '../ports/store.ts';
import { createProviders } from '../providers.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import { placementPolicy } from './policy.ts';

let store: Store;
let first: World;
let second: World;
let core: Core;
const { signal } = new AbortController();

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  const placement = placementPolicy.parse({ default: ['one', 'two'] });
  first = createWorld(store, { placement });
  second = createWorld(store);
  const [one, two] = [first.provider, second.provider];
  const noDisk = { ...two.capabilities, limits: ['cpus', 'memoryBytes', 'pids'] as const };
  first.deps.providers = createProviders([
    { ...one, name: 'one' },
    { ...two, name: 'two', capabilities: noDisk },
  ]);
  const runners = { one: first.deps.connectRunner, two: second.deps.connectRunner };
  first.deps.connectRunner = (sandbox) => runners[sandbox.provider as 'one' | 'two'](sandbox);
  core = createCore(first.deps);
  await core.start(AbortSignal.timeout(5_000));
});

afterEach(async () => {
  await core.close();
  await store.close();
});

const failing = (world: World, code: ErrorCode) => (world.failCreate = () => new BerthError(code, 'not here'));
const newSession = async () => (await core.sessions.create({ agent: 'shell', permissions: 'ask' }, 'ada', signal)).id;
const use = (id: string) => core.sessions.withRunner(id, signal, async () => 'used');

test('a first sandbox that cannot be made is made on the next provider, and the session says why', async () => {
  failing(first, 'unavailable');
  const id = await newSession();
  expect(await use(id)).toBe('used');
  const session = (await store.read.session(id))!;
  expect(session).toMatchObject({
    provider: 'two',
    placement: { others: [], reason: 'the default of the policy; one could not make its sandbox (unavailable)' },
    limits: { diskBytes: 0 },
  });
  expect(await store.read.sandbox(session.sandboxId!)).toMatchObject({ provider: 'two', status: 'running' });
  expect([...second.sandboxes.keys()]).toEqual([session.sandboxId]);
  expect((await store.read.audit({ action: 'session.moved', limit: 10, order: 'newest' })).map((entry) => entry.target)).toEqual(['two']);
});

test('with a disk it stays where that is', async () => {
  const id = await newSession();
  await use(id);
  await core.sessions.rest(id, 'stop', 'ada');
  const { start } = first.provider;
  first.deps.providers.of('one').start = () => Promise.reject(new BerthError('unavailable', 'not now'));
  await expect(use(id)).rejects.toMatchObject({ code: 'unavailable' });
  expect((await store.read.session(id))?.provider).toBe('one');
  first.deps.providers.of('one').start = start;
  expect(await use(id)).toBe('used');
  expect(second.sandboxes.size).toBe(0);
});

test('what is wrong with the request is wrong everywhere; and the last failure is told', async () => {
  failing(first, 'invalid_request');
  await expect(use(await newSession())).rejects.toMatchObject({ code: 'invalid_request' });
  expect(second.sandboxes.size).toBe(0);
  failing(first, 'resource_exhausted');
  failing(second, 'upstream_failed');
  const id = await newSession();
  await expect(use(id)).rejects.toMatchObject({ code: 'upstream_failed' });
  expect(await store.read.session(id)).toMatchObject({ provider: 'two', sandboxId: null });
});
