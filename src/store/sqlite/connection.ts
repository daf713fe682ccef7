import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { SqliteDatabase, SqliteStatement } from 'kysely';
import { asStoreError } from './errors.ts';

/** More shapes of statement than the store has, so that in practice none is prepared twice. */
const maxStatements = 400;

/**
 * `node:sqlite` in the shape that Kysely's SQLite driver wants, with two additions: statements are
 * prepared once and kept, and every failure is a `BerthError`.
 */
export function createConnection(database: DatabaseSync): SqliteDatabase {
  const statements = new Map<string, SqliteStatement>();
  return {
    prepare(sql) {
      const known = statements.get(sql);
      if (known !== undefined) return known;
      const statement = mapped(() => adapt(database.prepare(sql)));
      if (statements.size >= maxStatements) statements.clear();
      statements.set(sql, statement);
      return statement;
    },
    close: () => database.close(),
  };
}

function adapt(statement: StatementSync): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => mapped(() => statement.all(...(parameters as SQLInputValue[]))),
    run: (parameters) => mapped(() => statement.run(...(parameters as SQLInputValue[]))),
    // Kysely's `stream()`, which no store method uses: a kept statement cannot be iterated twice at once.
    iterate: () => {
      throw new TypeError('streaming is not supported by this connection');
    },
  };
}

function mapped<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw asStoreError(error);
  }
}
