import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Database } from '../schema.ts';
import { migrate } from '../migrations/index.ts';
import { postgresEngine } from './engine.ts';
import { asStoreError } from './errors.ts';
import { connectionConfig, createPool } from './pool.ts';

/** Any number that nothing else in the database locks; "berth" in ASCII. */
const migrationLock = 0x62_65_72_74_68;

/**
 * Brings the database to the newest schema. Servers that start at once go one after the other: Kysely's own lock
 * is taken only after it has made its tables, where two would collide. The lock goes with its connection.
 */
export async function migratePostgres(url: string): Promise<void> {
  const lock = new pg.Client(connectionConfig(url));
  // What is lost is found out by the migration itself.
  lock.on('error', () => {});
  const pool = createPool({ url, size: 1, statementTimeoutMs: null });
  try {
    await lock.connect();
    await lock.query('select pg_advisory_lock($1)', [migrationLock]);
    await migrate(new Kysely<Database>({ dialect: new PostgresDialect({ pool }) }), postgresEngine);
  } catch (error) {
    throw asStoreError(error);
  } finally {
    await pool.end();
    await lock.end().catch(() => {});
  }
}
