import { afterEach, beforeEach, expect, test } from 'vitest';
import { sandboxRecord, sessionRecord } from '../../../test/conformance/store-records.ts';
import { parseEgressPolicy } from '../../protocol/egress.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import type { NetworkMode, SandboxStatus } from '../ports/sandbox-provider.ts';
import type { Store } from '../ports/store.ts';
import { recover } from '../recovery.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import { createSessionNetworks } from './session-network.ts';
import { createSessionSandboxes, type SessionSandboxes } from './session-sandboxes.ts';

const unheard = { onTurnEnded() {}, onAnswersKept() {}, onSlotFreed() {}, onSlotTaken() {}, onEvicted() {}, onFirstSandbox() {} };
const egress = { defaultPolicy: parseEgressPolicy('none'), allowFullNetwork: true };
const signal = AbortSignal.timeout(30_000);
let store: Store;
let world: World;
let sandboxes: SessionSandboxes;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store, { egress: { ...egress } });
  sandboxes = createSessionSandboxes(world.deps, unheard);
});
afterEach(async () => {
  await sandboxes.close();
  await store.close();
});

/** A session with a sandbox that has `network`; resolves to its id and what its sandbox has from then on. */
async function has(policy: string, status: Exclude<SandboxStatus, 'broken'>, network: NetworkMode) {
  const sandbox = sandboxRecord({ status, provider: 'memory' });
  const session = sessionRecord({ provider: 'memory', sandboxId: sandbox.id, egress: parseEgressPolicy(policy) });
  await store.transaction(async (tx) => {
    await tx.insertSession(session);
    await tx.insertSandbox({ ...sandbox, sessionId: session.id });
  });
  const { id, template, limits } = sandbox;
  world.sandboxes.set(id, { id, template, limits, network, status, labels: {}, reference: id, createdAt: session.createdAt });
  return { id: session.id, network: () => world.sandboxes.get(id)!.network };
}

test('a sandbox gets and loses its network as its policy says, and one that sleeps when it wakes', async () => {
  const networks = createSessionNetworks(world.deps, sandboxes);
  const [given, taken, asleep] = [await has('full', 'running', 'none'), await has('open', 'paused', 'full'), await has('full', 'hibernated', 'none')];
  for (const { id } of [given, taken, asleep]) await networks.apply(id);
  expect([given.network(), taken.network(), asleep.network()]).toEqual(['full', 'none', 'none']);
  await sandboxes.ensure(asleep.id, signal);
  expect(asleep.network()).toBe('full');
  await networks.apply('ses_none');
});

test('where nothing changes under what runs, a network is taken in time and given at a start', async () => {
  world.provider.capabilities.update = 'none';
  const [given, asleep, taken] = [await has('full', 'stopped', 'none'), await has('full', 'hibernated', 'none'), await has('packages', 'hibernated', 'full')];
  for (const { id } of [given, asleep, taken]) await sandboxes.ensure(id, signal);
  expect([given.network(), asleep.network(), taken.network()]).toEqual(['full', 'none', 'none']);
});

test('a start takes back what a policy or the operator no longer allows', async () => {
  const [kept, stale, asleep] = [await has('full', 'running', 'full'), await has('packages', 'running', 'full'), await has('packages', 'hibernated', 'full')];
  await recover(world.deps, sandboxes, signal);
  expect([kept.network(), stale.network(), asleep.network()]).toEqual(['full', 'none', 'none']);
  world.deps.settings.egress.allowFullNetwork = false;
  await recover(world.deps, sandboxes, signal);
  expect(kept.network()).toBe('none');
});

test('a provider without one is named', () => {
  const networks = createSessionNetworks(world.deps, sandboxes);
  world.provider.capabilities.network = ['none'];
  expect(() => networks.requireFull(sessionRecord({ provider: 'memory' }))).toThrow(expect.objectContaining({ code: 'unsupported', field: 'policy' }) as Error);
});
