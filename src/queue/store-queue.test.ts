import { describe } from 'vitest';
import { queueSuite } from '../../test/conformance/queue.ts';
import { missingForPostgres, startPostgres } from '../../test/fixtures/postgres.ts';
import type { Clock } from '../core/ports/clock.ts';
import type { Logger } from '../core/ports/logger.ts';
import type { Store } from '../core/ports/store.ts';
import { createPostgresStore } from '../store/postgres.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import { createStoreQueue } from './store-queue.ts';

const logger: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => logger };
const clock: Clock = {
  now: () => new Date(),
  sleep: (delayMs, signal) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, delayMs);
      signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      });
    }),
};

queueSuite('store, SQLite', async () => {
  const store = await createSqliteStore({ path: ':memory:' });
  return {
    servers: 'one',
    open: async () => createStoreQueue({ store, clock, logger }),
    // The process has it to itself: there is nothing to take away.
    outage: (meanwhile) => meanwhile(),
    destroy: () => store.close(),
  };
});

const missing = missingForPostgres();
if (missing !== null) console.warn(`skipped: store-queue.test.ts: ${missing}`);

describe.skipIf(missing !== null)('on a real Postgres', () => {
  queueSuite('store, Postgres', async () => {
    const server = await startPostgres();
    const url = await server.createDatabase();
    const stores: Store[] = [];
    return {
      servers: 'many',
      async open() {
        const store = await createPostgresStore({ url });
        stores.push(store);
        return createStoreQueue({ store, clock, logger });
      },
      async outage(meanwhile) {
        await server.stop('fast');
        await meanwhile();
        await server.start();
      },
      async destroy() {
        await Promise.all(stores.map((store) => store.close()));
        await server.destroy();
      },
    };
  });
});
