import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { complete } from '../rows/columns.ts';
import { turnColumns } from '../rows/turn.ts';
import type { Database } from '../schema.ts';
import { requireRow } from './require-row.ts';

export function turnWrites(db: Kysely<Database>): Pick<StoreTransaction, 'insertTurn' | 'updateTurn'> {
  return {
    async insertTurn(record) {
      await db
        .insertInto('turns')
        .values(complete(turnColumns(record)))
        .execute();
    },

    async updateTurn(id, values) {
      const result = await db
        .updateTable('turns')
        .set({ ...turnColumns(values), id })
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      requireRow(result, 'turn', id);
    },
  };
}
