import { sql, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Engine } from '../engine.ts';
import { create, index } from './tables.ts';

/** The machines that sandboxes live on, which of them has each sandbox and each turn, and what tells one key from another. */
export function hosts(engine: Engine): Migration {
  const { id, big } = engine;
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await create(db, 'hosts', engine, (table) =>
        table
          .addColumn('id', id, (c) => c.primaryKey())
          .addColumn('address', 'text')
          .addColumn('slots', 'integer', (c) => c.notNull())
          .addColumn('epoch', big, (c) => c.notNull())
          .addColumn('lease_until', id)
          .addColumn('registered_at', 'text', (c) => c.notNull()),
      );
      await create(db, 'installation', engine, (table) =>
        table
          .addColumn('singleton', 'integer', (c) => c.primaryKey().check(sql`singleton = 1`))
          .addColumn('key_check', 'text', (c) => c.notNull()),
      );
      for (const table of ['sandboxes', 'turns']) {
        await db.schema.alterTable(table).addColumn('host_id', id).execute();
      }
      await index(db, 'sandboxes_by_host', 'sandboxes', ['host_id']);
    },
  };
}
