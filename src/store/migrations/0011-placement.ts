import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Why a session is on its provider. */
export function placement(): Migration {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema.alterTable('sessions').addColumn('placement', 'text').execute();
    },
  };
}
