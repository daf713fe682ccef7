import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Sandboxes that no session owns yet, and counts of sandboxes by status that do not read them all. */
export function warmSandboxes(): Migration {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema.alterTable('sandboxes').addColumn('warm', 'text').execute();
      await db.schema.createIndex('sandboxes_by_status').on('sandboxes').columns(['status']).execute();
    },
  };
}
