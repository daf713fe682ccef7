import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Engine } from '../engine.ts';

/** How much of the database a session's log takes; logs from before count as empty. */
export function logSize({ big }: Engine): Migration {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      for (const name of ['log_bytes', 'log_bytes_at_turn']) {
        await db.schema.alterTable('sessions').addColumn(name, big, (c) => c.notNull().defaultTo(0)).execute();
      }
    },
  };
}
