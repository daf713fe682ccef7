import { afterEach, beforeEach, expect, test } from 'vitest';
import { sessionRecord } from '../../../test/conformance/store-records.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../ports/store.ts';
import { createPriceTable } from './price-table.ts';
import { createUsageMeter } from './usage-meter.ts';

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
/** The waits between attempts take no time. */
const clock: Clock = { now: () => new Date('2026-11-29T12:00:00Z'), sleep: async () => {} };
const prices = createPriceTable({ models: { 'claude*': { input: 1, output: 1 } } });
const usage = {
  api: 'anthropic',
  model: 'claude-a',
  inputTokens: 10,
  outputTokens: 5,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  estimated: false,
};

let store: Store;
let sessionId: string;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  const session = sessionRecord();
  sessionId = session.id;
  await store.transaction((tx) => tx.insertSession(session));
});
afterEach(() => store.close());

const signal = new AbortController().signal;
const sum = async () => (await store.read.modelUsage({ sessionId }, [], 1))[0];

test('a call is counted once: told twice, failed before its commit, and failed after it', async () => {
  const faults = ['before', 'after', 'after', 'none'];
  const faulty: Store = {
    ...store,
    async transaction(fn, options) {
      const fault = faults.shift();
      if (fault === 'before') throw new Error('the database is away');
      const result = await store.transaction(fn, options);
      if (fault === 'after') throw new Error('the connection broke in the commit');
      return result;
    },
  };
  const meter = createUsageMeter({ store: faulty, clock, logger: silent, prices });
  const [first, second] = [await meter.begin(sessionId, signal), await meter.begin(sessionId, signal)];
  await Promise.all([first.end(usage), first.end(usage), second.end({ ...usage, model: 'other' })]);
  await meter.close();
  expect(await sum()).toMatchObject({ calls: 2, inputTokens: 20, unpricedCalls: 1, costNanos: 15_000 });
});

test('a store that stays away fails the call before it is made, and gives up a count with a word in the log', async () => {
  const lost: string[] = [];
  const logger: Logger = { ...silent, error: (_fields, message) => void lost.push(message) };
  const meter = createUsageMeter({
    store: { ...store, transaction: () => Promise.reject(new Error('away')) },
    clock,
    logger,
    prices,
  });
  await (await meter.begin(sessionId, signal)).end(usage);
  expect(lost).toEqual(['what a model call used could not be stored']);
  await store.transaction((tx) => tx.updateSession(sessionId, { deletingAt: '2026-11-29T12:00:00.000Z' }));
  await expect(meter.begin(sessionId, signal)).rejects.toMatchObject({ code: 'not_found' });
});
