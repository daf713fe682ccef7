import type { Store } from '../core/ports/store.ts';
import { createPostgresStore } from './postgres.ts';
import { createSqliteStore } from './sqlite.ts';

/** The store at a Postgres URL or in a SQLite file. */
export function openStore(location: string): Promise<Store> {
  return location.startsWith('postgres:')
    ? createPostgresStore({ url: location })
    : createSqliteStore({ path: location });
}
