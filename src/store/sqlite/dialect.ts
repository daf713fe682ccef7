import type { DatabaseSync } from 'node:sqlite';
import { CompiledQuery, SqliteAdapter, SqliteDialect, SqliteDriver } from 'kysely';
import type { DatabaseConnection, DialectAdapter, Driver, SqliteDatabase } from 'kysely';
import { createConnection } from './connection.ts';

/** Kysely's SQLite dialect over one open `node:sqlite` database, which its owner closes. */
export class NodeSqliteDialect extends SqliteDialect {
  readonly #database: DatabaseSync;
  readonly #connection: SqliteDatabase;

  constructor(database: DatabaseSync) {
    const connection = createConnection(database);
    super({ database: connection });
    this.#database = database;
    this.#connection = connection;
  }

  override createDriver(): Driver {
    return new ImmediateDriver(this.#database, this.#connection);
  }

  override createAdapter(): DialectAdapter {
    return new TransactionalDdlAdapter();
  }
}

/**
 * Takes the write lock when a transaction begins. A deferred one takes it at its first write, where a
 * lock held by another process is an error that waiting cannot cure.
 */
class ImmediateDriver extends SqliteDriver {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync, connection: SqliteDatabase) {
    super({ database: connection });
    this.#database = database;
  }

  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  /** SQLite has rolled back by itself after a full disk; a second rollback would hide that first error. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#database.isTransaction) await super.rollbackTransaction(connection);
  }
}

/** Kysely takes SQLite to have no transactional DDL, but it has; a migration cut short leaves nothing. */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}
