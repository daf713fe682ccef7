import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Engine } from '../engine.ts';

/** Where sessions may connect to, and what was decided. */
export function egress({ id, big, tableEnd }: Engine): Migration {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema.alterTable('sessions').addColumn('egress', 'text').execute();
      await db.schema
        .createTable('egress_decisions')
        .addColumn('session_id', id, (c) => c.notNull().references('sessions.id').onDelete('cascade'))
        .addColumn('host', id, (c) => c.notNull())
        .addColumn('port', 'integer', (c) => c.notNull())
        .addColumn('allowed', 'integer', (c) => c.notNull())
        .addColumn('reason', 'text', (c) => c.notNull())
        .addColumn('count', big, (c) => c.notNull())
        .addColumn('first_at', 'text', (c) => c.notNull())
        .addColumn('last_at', 'text', (c) => c.notNull())
        .addPrimaryKeyConstraint('egress_decisions_key', ['session_id', 'host', 'port', 'allowed'])
        .modifyEnd(tableEnd)
        .execute();
    },
  };
}
