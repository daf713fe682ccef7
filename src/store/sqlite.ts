import { Kysely } from 'kysely';
import type { Logger } from '../core/ports/logger.ts';
import type { Store } from '../core/ports/store.ts';
import { createStore } from './create-store.ts';
import { createEventListeners } from './event-listeners.ts';
import { migrate } from './migrations/index.ts';
import type { Database } from './schema.ts';
import { NodeSqliteDialect } from './sqlite/dialect.ts';
import { sqliteEngine } from './sqlite/engine.ts';
import { openDatabase } from './sqlite/open.ts';
import { createLoneChannel } from './work-channel.ts';

export interface SqliteStoreOptions {
  /** The database file, made when absent in a directory that exists; `:memory:` for one that `close` removes. */
  path: string;
  /**
   * How long to wait for a lock that another process holds, before `unavailable`. Default 2000. The wait
   * blocks this process, and happens only when a second one has the file open, as a backup may.
   */
  busyTimeoutMs?: number;
  logger?: Logger;
}

/**
 * The store on SQLite, migrated to the newest schema. Every commit is on the disk when its promise
 * resolves. Made for one server process; several want Postgres.
 */
export async function createSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const database = openDatabase({ path: options.path, busyTimeoutMs: options.busyTimeoutMs ?? 2000 });
  try {
    const writer = new Kysely<Database>({ dialect: new NodeSqliteDialect(database.writer) });
    await migrate(writer, sqliteEngine);
    const reader = new Kysely<Database>({ dialect: new NodeSqliteDialect(database.openReader()) });
    return createStore({
      // One connection, so they go one after the other.
      transact: (body) => writer.transaction().execute(body),
      reader,
      engine: sqliteEngine,
      listeners: createEventListeners(options.logger),
      work: createLoneChannel(),
      release: async () => database.close(),
    });
  } catch (error) {
    database.close();
    throw error;
  }
}
