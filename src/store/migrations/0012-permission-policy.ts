import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Who answers what a session's agent asks. */
export function permissionPolicy(): Migration {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema.alterTable('sessions').addColumn('permission_policy', 'text').execute();
    },
  };
}
