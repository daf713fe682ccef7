import { afterEach, beforeEach, expect, test } from 'vitest';
import { sandboxRecord, sessionRecord } from '../../../test/conformance/store-records.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import type { Store } from '../ports/store.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import type { Connection } from './connection.ts';
import { createSessionEntries, type SessionEntries } from './entries.ts';
import { createLossCheck } from './loss.ts';

let store: Store;
let world: World;
let entries: SessionEntries;
let sessionId: string;
let sandboxId: string;
let closed: number;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store);
  entries = createSessionEntries(world.deps.clock);
  const session = sessionRecord();
  const sandbox = sandboxRecord({ sessionId: session.id, status: 'running' });
  [sessionId, sandboxId] = [session.id, sandbox.id];
  await store.transaction(async (tx) => {
    await tx.insertSession(session);
    await tx.insertSandbox(sandbox);
    await tx.updateSession(session.id, { sandboxId: sandbox.id });
  });
  closed = 0;
  const connection = { sandboxId, close: async () => void (closed += 1) } as Connection;
  entries.of(sessionId).connection = connection;
});

afterEach(() => store.close());

function lossCheck() {
  const events = { onTurnEnded() {}, onAnswersKept() {}, onSlotFreed() {}, onSlotTaken() {}, onEvicted() {}, onFirstSandbox() {} };
  const { signal: closing } = new AbortController();
  return createLossCheck({ deps: world.deps, entries, events, closing }, () => Promise.reject(new Error('no turn is at work')));
}

test('two streams that break at once tell of one loss', async () => {
  const check = lossCheck();
  const answers = await Promise.all([check(sessionId, { id: sandboxId, provider: 'memory' }), check(sessionId, { id: sandboxId, provider: 'memory' })]);
  expect(answers.toSorted((a, b) => Number(a) - Number(b))).toEqual([false, true]);
  expect(closed).toBe(1);
  expect(entries.of(sessionId).connection).toBeNull();
  expect((await store.read.sandbox(sandboxId))?.status).toBe('broken');
});

test('what cannot be told is asked again', async () => {
  const check = lossCheck();
  await store.close();
  expect(await check(sessionId, { id: sandboxId, provider: 'memory' })).toBe(true);
});
