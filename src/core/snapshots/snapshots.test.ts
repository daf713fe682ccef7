import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '../../protocol/ids.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { SnapshotInfo } from '../ports/sandbox-provider.ts';
import type { Store } from '../ports/store.ts';
import { createWorld, type World } from '../testing/doubles.ts';

let store: Store;
let world: World;
let core: Core;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store, { slots: 3 });
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
});
afterEach(async () => {
  await core.close();
  await store.close();
});

const signal = () => AbortSignal.timeout(10_000);
const snapshot = (id: string, name: string) => core.snapshots.create(id, { name, memory: false }, 'ada', signal());

/** A session with a repository, a workspace and a conversation. */
async function liveSession(): Promise<string> {
  const { id } = await core.sessions.create({ agent: 'any', permissions: 'ask' }, 'ada', signal());
  await core.sessions.wake(id, signal(), 'ada');
  await store.transaction((tx) =>
    tx.updateSession(id, { acpSessionId: 'acp-1', branch: 'work', repositoryUrl: 'https://h/x' }),
  );
  return id;
}

async function restart(): Promise<void> {
  await core.close();
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
}

describe('a snapshot', () => {
  test('is made, listed, found by name or id, forked from and deleted; its session goes on', async () => {
    const id = await liveSession();
    const made = await snapshot(id, 'before');
    expect(made).toMatchObject({ state: 'ready', sessionId: id, name: 'before' });
    expect(await core.snapshots.list({})).toEqual([made]);
    expect(await core.snapshots.get('before', 'ada')).toEqual(made);
    await expect(core.snapshots.get('before', 'bob')).rejects.toMatchObject({ code: 'not_found' });
    await expect(snapshot(id, 'before')).rejects.toMatchObject({ code: 'conflict', field: 'name' });
    await core.sessions.delete(id, 'ada');

    const [fork] = await core.snapshots.fork('before', 1, 'ada', signal());
    expect(fork).toMatchObject({
      status: 'idle',
      forkedFrom: id,
      branch: `berth/${fork!.id}`,
      acpSessionId: null,
      forkAcpSessionId: 'acp-1',
      deletingAt: null,
    });
    expect(world.execs).toEqual([{ sandboxId: fork!.sandboxId, argv: ['git', 'checkout', '-q', '-b', fork!.branch] }]);
    await core.snapshots.delete('before', 'ada', signal());
    expect(await store.read.snapshots()).toEqual([]);
    expect(world.snapshots.size).toBe(0);
    expect((await core.sessions.get(fork!.id)).status).toBe('idle');
  });

  test('of what the provider cannot, or of nothing, is refused', async () => {
    const id = await liveSession();
    await expect(core.snapshots.create(id, { name: 'm', memory: true }, 'ada', signal())).rejects.toMatchObject({
      code: 'unsupported',
      field: 'memory',
    });
    const empty = await core.sessions.create({ agent: 'any', permissions: 'ask' }, 'ada', signal());
    await expect(snapshot(empty.id, 'x')).rejects.toMatchObject({ code: 'conflict' });
    expect(await store.read.snapshots()).toEqual([]);
  });

  test('that fails leaves nothing, and its name is free', async () => {
    const id = await liveSession();
    world.beforeProvider = (operation) =>
      operation === 'snapshot' ? Promise.reject(new Error('no space')) : Promise.resolve();
    await expect(snapshot(id, 'x')).rejects.toThrow();
    expect(await store.read.snapshots()).toEqual([]);
    world.beforeProvider = async () => {};
    await snapshot(id, 'x');
  });
});

describe('after a crash', () => {
  const info = (id: string): SnapshotInfo => ({
    id,
    sandboxId: 'sbx',
    template: 'default',
    memory: false,
    sizeBytes: null,
    createdAt: '',
  });

  test.each(['creating', 'deleting'] as const)(
    'one that was %s is removed, in the store and at the provider',
    async (state) => {
      const { id } = await snapshot(await liveSession(), 'x');
      await store.transaction((tx) => tx.updateSnapshot(id, { state }));
      await restart();
      expect(await store.read.snapshots()).toEqual([]);
      expect(world.snapshots.size).toBe(0);
    },
  );

  test('a deletion that the provider refused goes on at the next start', async () => {
    await snapshot(await liveSession(), 'x');
    world.beforeProvider = (operation) =>
      operation === 'deleteSnapshot' ? Promise.reject(new Error('busy')) : Promise.resolve();
    await expect(core.snapshots.delete('x', 'ada', signal())).rejects.toThrow();
    expect(await core.snapshots.list({})).toEqual([]);
    world.beforeProvider = async () => {};
    await restart();
    expect(world.snapshots.size).toBe(0);
  });

  test('what no record knows is removed, but only what has a name of ours', async () => {
    const kept = await snapshot(await liveSession(), 'x');
    for (const id of [newId('snapshot'), 'somebody-elses']) world.snapshots.set(id, info(id));
    await restart();
    expect([...world.snapshots.keys()].toSorted()).toEqual([kept.id, 'somebody-elses'].toSorted());
  });
});

describe('a fork', () => {
  test('of a live session has its own branch and conversation, all or none', async () => {
    const id = await liveSession();
    const forks = await core.sessions.fork(id, 2, 'bob', signal());
    expect(new Set(forks.map((fork) => fork.branch)).size).toBe(2);
    expect(forks.map((fork) => [fork.owner, fork.forkAcpSessionId])).toEqual([
      ['bob', 'acp-1'],
      ['bob', 'acp-1'],
    ]);
    world.beforeProvider = () => Promise.reject(new Error('no space'));
    await core.sessions.rest(forks[0]!.id, 'stop', 'ada');
    await expect(core.sessions.fork(id, 1, 'bob', signal())).rejects.toThrow();
    expect(await store.read.sessions({ limit: 10 })).toHaveLength(3);
    expect(await store.read.sandboxes()).toHaveLength(3);
    await expect(core.sessions.fork(id, 4, 'bob', signal())).rejects.toMatchObject({ field: 'count' });
  });

  test('that a crash cut short is gone after it; one that was finished and is being woken is not', async () => {
    const id = await liveSession();
    const [done, cut] = await core.sessions.fork(id, 2, 'ada', signal());
    await store.transaction(async (tx) => {
      await tx.updateSandbox(done!.sandboxId!, { status: 'creating' });
      await tx.updateSandbox(cut!.sandboxId!, { status: 'creating' });
      await tx.updateSession(cut!.id, { deletingAt: new Date().toISOString() });
    });
    await restart();
    expect(await store.read.session(cut!.id)).toBeNull();
    expect((await core.sessions.get(done!.id)).status).toBe('idle');
    expect(world.sandboxes.size).toBe(2);
  });
});
