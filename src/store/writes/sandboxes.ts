import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { complete } from '../rows/columns.ts';
import { sandboxColumns } from '../rows/sandbox.ts';
import type { Database } from '../schema.ts';
import { requireRow } from './require-row.ts';

type SandboxWrites = Pick<StoreTransaction, 'insertSandbox' | 'updateSandbox' | 'deleteSandbox'>;

export function sandboxWrites(db: Kysely<Database>): SandboxWrites {
  return {
    async insertSandbox(record) {
      await db
        .insertInto('sandboxes')
        .values(complete(sandboxColumns(record)))
        .execute();
    },

    async updateSandbox(id, values) {
      const result = await db
        .updateTable('sandboxes')
        .set({ ...sandboxColumns(values), id })
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      requireRow(result, 'sandbox', id);
    },

    /** A session that names it no longer does. No-op when absent. */
    async deleteSandbox(id) {
      await db.updateTable('sessions').set({ sandbox_id: null }).where('sandbox_id', '=', id).execute();
      await db.deleteFrom('sandboxes').where('id', '=', id).execute();
    },
  };
}
