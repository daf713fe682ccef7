import { randomBytes } from 'node:crypto';
import { HandleEmptyInListsPlugin, Kysely, replaceWithNoncontingentExpression, sql } from 'kysely';
import type { PostgresPool } from 'kysely';
import type { Logger } from '../core/ports/logger.ts';
import type { Store } from '../core/ports/store.ts';
import { createStore } from './create-store.ts';
import { createEventListeners } from './event-listeners.ts';
import { followAnnouncements } from './postgres/announcements.ts';
import { beginSql } from './postgres/begin.ts';
import { StoreDialect } from './postgres/dialect.ts';
import { postgresEngine, workChannel } from './postgres/engine.ts';
import { migratePostgres } from './postgres/migrate.ts';
import { createPool } from './postgres/pool.ts';
import { createTransact } from './postgres/transact.ts';
import type { Database } from './schema.ts';
import { createWorkListeners } from './work-channel.ts';

export interface PostgresStoreOptions {
  /** `postgres://user:password@host:5432/database`; a secret. */
  url: string;
  /** Connections for transactions, and as many for reads; one more listens for events. Default 5. */
  poolSize?: number;
  /** The longest one statement may take, before `timeout`. Default 30,000. */
  statementTimeoutMs?: number;
  /** The longest a transaction may stand between two statements, before the database ends it. Default 30,000. */
  idleTimeoutMs?: number;
  logger?: Logger;
}

/**
 * The store on Postgres, migrated to the newest schema, for any number of servers on one database.
 * Transactions run beside each other and end as if one had gone after the other; `fn` may run several
 * times. Listeners also hear of what other servers commit. While the database is away every call is
 * `unavailable`; when it is back the store goes on by itself.
 *
 * Throws `unavailable` when the database cannot be reached at the start.
 */
export async function createPostgresStore(options: PostgresStoreOptions): Promise<Store> {
  const { url, poolSize = 5, statementTimeoutMs = 30_000, idleTimeoutMs = 30_000, logger } = options;
  const origin = randomBytes(8).toString('hex');
  await migratePostgres(url);
  const work = createWorkListeners(logger);
  const { listeners, close } = await followAnnouncements({
    url,
    origin,
    listeners: createEventListeners(logger),
    work,
    logger,
  });
  // Two pools: a read inside a transaction must not wait for the connection that the transaction holds.
  const writers = createPool({ url, size: poolSize, statementTimeoutMs, logger });
  const readers = createPool({ url, size: poolSize, statementTimeoutMs, logger });
  const reader = database(readers, 'begin');
  const begin = { origin, statementTimeoutMs, idleTimeoutMs };
  return createStore({
    transact: createTransact(database(writers, beginSql('shared', begin)), database(writers, beginSql('alone', begin))),
    reader,
    engine: postgresEngine,
    listeners,
    work: {
      announce: async (to) => void (await sql`select pg_notify(${workChannel}, ${`${origin} ${to}`})`.execute(reader)),
      add: (listener) => work.add(listener),
    },
    release: async () => {
      await Promise.all([close(), writers.end(), readers.end()]);
    },
  });
}

function database(pool: PostgresPool, begin: string): Kysely<Database> {
  return new Kysely<Database>({
    dialect: new StoreDialect(pool, begin),
    // `in ()`, which SQLite takes for false, is a syntax error here.
    plugins: [new HandleEmptyInListsPlugin({ strategy: replaceWithNoncontingentExpression })],
  });
}
