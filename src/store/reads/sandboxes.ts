import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toSandbox } from '../rows/sandbox.ts';
import type { Database } from '../schema.ts';

export function sandboxReads(db: Kysely<Database>): Pick<StoreReads, 'sandbox' | 'sandboxes'> {
  return {
    async sandbox(id) {
      const row = await db.selectFrom('sandboxes').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toSandbox(row);
    },

    async sandboxes() {
      const rows = await db.selectFrom('sandboxes').selectAll().orderBy('id').execute();
      return rows.map(toSandbox);
    },
  };
}
