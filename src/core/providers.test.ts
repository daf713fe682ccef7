import { afterEach, beforeEach, expect, test } from 'vitest';
import { sandboxRecord, sessionRecord } from '../../test/conformance/store-records.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import { createCore } from './create-core.ts';
import type { SandboxInfo } from './ports/sandbox-provider.ts';
import type { Store } from './ports/store.ts';
import { createProviders } from './providers.ts';
import { createWorld } from './testing/doubles.ts';

let store: Store;
const signal = AbortSignal.timeout(30_000);

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
});

afterEach(() => store.close());

/** A server with two providers that have nothing in common. */
function twoProviders() {
  const [one, two] = [createWorld(store), createWorld(store)];
  const second = { ...two.provider, name: 'second' };
  one.deps.providers = createProviders([one.provider, second]);
  return { one, two, deps: one.deps };
}

test('each sandbox is looked for, kept and removed where its record says it is', async () => {
  const { one, two, deps } = twoProviders();
  const session = sessionRecord({ provider: 'second' });
  const kept = sandboxRecord({ provider: 'second', sessionId: session.id, hostId: 'hst_test', status: 'running' });
  await store.transaction(async (tx) => {
    await tx.insertSession(session);
    await tx.insertSandbox(kept);
    await tx.updateSession(session.id, { sandboxId: kept.id });
  });
  const info = (id: string): SandboxInfo => ({ ...kept, id, status: 'running', labels: {}, reference: id });
  two.sandboxes.set(kept.id, info(kept.id));
  // The same id left by a provider that failed to make it, and one that nobody knows.
  one.sandboxes.set(kept.id, info(kept.id));
  two.sandboxes.set('sbx_orphan', info('sbx_orphan'));
  const core = createCore(deps);
  await core.start(signal);
  expect([...two.sandboxes.keys()]).toEqual([kept.id]);
  expect([...one.sandboxes.keys()]).toEqual([]);
  await core.sessions.delete(session.id, 'ada');
  expect([...two.sandboxes.keys()]).toEqual([]);
  await core.close();
});

test('a server without the provider of what it has does not start', async () => {
  const world = createWorld(store);
  const gone = sandboxRecord({ provider: 'gone', hostId: 'hst_test', status: 'stopped' });
  await store.transaction((tx) => tx.insertSandbox(gone));
  const core = createCore(world.deps);
  await expect(core.start(signal)).rejects.toMatchObject({ code: 'unavailable', field: 'BERTH_PROVIDERS' });
  await core.close();
});
