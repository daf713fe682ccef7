import { CompiledQuery, PostgresDialect, PostgresDriver } from 'kysely';
import type { Driver, PostgresPool } from 'kysely';

/** Kysely does not export the class. */
type Connection = Parameters<PostgresDriver['rollbackTransaction']>[0];

/** Kysely's Postgres dialect over a pool, which its owner ends; `begin` is the SQL that begins a transaction. */
export class StoreDialect extends PostgresDialect {
  readonly #pool: PostgresPool;
  readonly #begin: string;

  constructor(pool: PostgresPool, begin: string) {
    super({ pool });
    this.#pool = pool;
    this.#begin = begin;
  }

  override createDriver(): Driver {
    return new StoreDriver(this.#pool, this.#begin);
  }
}

class StoreDriver extends PostgresDriver {
  readonly #begin: string;

  constructor(pool: PostgresPool, begin: string) {
    super({ pool });
    this.#begin = begin;
  }

  override async beginTransaction(connection: Connection): Promise<void> {
    try {
      await connection.executeQuery(CompiledQuery.raw(this.#begin));
    } catch (error) {
      // Its first statement may have been carried out; the connection must not go back half begun.
      await this.rollbackTransaction(connection);
      throw error;
    }
  }

  /** Kysely discards the connection when this fails; the failure itself would hide what led here. */
  override async rollbackTransaction(connection: Connection): Promise<void> {
    await super.rollbackTransaction(connection).catch(() => {});
  }
}
