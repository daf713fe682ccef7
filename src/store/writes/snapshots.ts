import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { complete } from '../rows/columns.ts';
import { snapshotColumns } from '../rows/snapshot.ts';
import type { Database } from '../schema.ts';
import { requireRow } from './require-row.ts';

type SnapshotWrites = Pick<StoreTransaction, 'insertSnapshot' | 'updateSnapshot' | 'deleteSnapshot'>;

export function snapshotWrites(db: Kysely<Database>): SnapshotWrites {
  return {
    async insertSnapshot(record) {
      await db
        .insertInto('snapshots')
        .values(complete(snapshotColumns(record)))
        .execute();
    },

    async updateSnapshot(id, values) {
      const result = await db
        .updateTable('snapshots')
        .set({ ...snapshotColumns(values), id })
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      requireRow(result, 'snapshot', id);
    },

    /** No-op when absent. */
    async deleteSnapshot(id) {
      await db.deleteFrom('snapshots').where('id', '=', id).execute();
    },
  };
}
