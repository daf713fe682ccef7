import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sign } from '../../test/fixtures/forge/auth.ts';
import { githubAppRecord } from '../../test/conformance/store-records.ts';
import type { Clock } from '../core/ports/clock.ts';
import type { Logger } from '../core/ports/logger.ts';
import type { DeliveryRecord, Store } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import { boxVault } from '../store/secrets/box-vault.fixture.ts';
import { createSecretBox } from '../store/secret-box.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import { createDeliveries, type Deliveries } from './deliveries.ts';
import type { Outcome } from './handle-delivery.ts';

/** A crash at any point between GitHub's request and the end of the work loses no delivery and ends no process twice. */
const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
const secret = 'a webhook secret';
let dir: string;
let store: Store;
let slept: number[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-deliveries-'));
  store = await open();
  const secrets = await createSecretBox(join(dir, 'key'));
  await store.transaction((tx) => tx.saveGithubApp(githubAppRecord({ sealedWebhookSecret: secrets.seal(secret) })));
  slept = [];
});
afterEach(async () => {
  await store.close();
  await rm(dir, { recursive: true });
});

const open = () => createSqliteStore({ path: join(dir, 'berth.db') });
const clock: Clock = {
  now: () => new Date(),
  sleep: async (delayMs, signal) => {
    signal?.throwIfAborted();
    slept.push(delayMs);
  },
};

async function create(): Promise<Deliveries> {
  return createDeliveries({ store, secrets: boxVault(await createSecretBox(join(dir, 'key'))), clock, logger: quiet });
}

function receive(deliveries: Deliveries, id: string): Promise<'stored' | 'duplicate'> {
  const body = Buffer.from('{"action":"opened"}');
  return deliveries.receive({ id, event: 'issues', signature: sign(secret, body.toString()), body });
}

const done: Outcome = { state: 'done', reason: null };

test('what was accepted before a crash is worked on after it, in order', async () => {
  const first = await create();
  for (const id of ['c', 'a', 'b']) expect(await receive(first, id)).toBe('stored');
  await store.close();

  store = await open();
  const second = await create();
  const seen: string[] = [];
  second.start(async (delivery) => {
    seen.push(delivery.id);
    return done;
  });
  await second.settle();
  expect(seen).toEqual(['c', 'a', 'b']);
  expect(await receive(second, 'a')).toBe('duplicate');
  await second.close();
  expect(await store.read.deliveriesInState('received')).toEqual([]);
});

test('a crash in the middle of the work has it done again', async () => {
  const first = await create();
  await receive(first, 'd');
  const began = Promise.withResolvers<void>();
  first.start(() => {
    began.resolve();
    return new Promise(() => {});
  });
  await began.promise;
  // As a kill leaves it: the file, and nothing else.
  const left = store;
  store = await open();
  const second = await create();
  const seen: DeliveryRecord[] = [];
  second.start(async (delivery) => {
    seen.push(delivery);
    return done;
  });
  await second.settle();
  expect(seen).toMatchObject([{ id: 'd', attempts: 1, payload: { action: 'opened' } }]);
  expect(await store.read.delivery('d')).toMatchObject({ state: 'done', attempts: 2 });
  await second.close();
  await left.close();
});

test('one that ends the process each time is given up', async () => {
  const deliveries = await create();
  await receive(deliveries, 'poison');
  await store.transaction((tx) => tx.updateDelivery('poison', { attempts: 8 }));
  let calls = 0;
  deliveries.start(async () => {
    calls += 1;
    return done;
  });
  await deliveries.settle();
  expect(calls).toBe(0);
  expect(await store.read.delivery('poison')).toMatchObject({ state: 'failed', payload: { action: 'opened' } });
  await deliveries.close();
});

test('an orderly end counts no attempt', async () => {
  const deliveries = await create();
  await receive(deliveries, 'e');
  const began = Promise.withResolvers<void>();
  deliveries.start((_delivery, signal) => {
    began.resolve();
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  });
  await began.promise;
  await deliveries.close();
  expect(await store.read.delivery('e')).toMatchObject({ state: 'received', attempts: 0 });
});

test('waits longer each time, as long as a rate limit asks, and holds up no other', async () => {
  const deliveries = await create();
  await receive(deliveries, 'slow');
  await receive(deliveries, 'quick');
  const seen: string[] = [];
  deliveries.start(async ({ id, attempts }) => {
    seen.push(id);
    if (id === 'quick') return done;
    if (attempts === 2) throw new BerthError('rate_limited', 'slow down', { context: { retryAfterMs: 3_600_000 } });
    if (attempts < 4) throw new BerthError('unavailable', 'away');
    return done;
  });
  await expect.poll(async () => (await store.read.delivery('slow'))?.state).toBe('done');
  expect(slept).toEqual([2_000, 8_000, 3_600_000, 128_000]);
  expect(seen.filter((id) => id === 'quick')).toHaveLength(1);
  await deliveries.close();
});
