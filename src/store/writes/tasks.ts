import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { complete } from '../rows/columns.ts';
import { deliveryColumns, taskColumns } from '../rows/task.ts';
import type { Database } from '../schema.ts';
import { requireRow } from './require-row.ts';

type TaskWrites = Pick<StoreTransaction, 'insertTask' | 'updateTask' | 'insertDelivery' | 'updateDelivery'>;

export function taskWrites(db: Kysely<Database>): TaskWrites {
  return {
    async insertTask(record) {
      await db
        .insertInto('tasks')
        .values(complete(taskColumns(record)))
        .execute();
    },

    async updateTask(id, values) {
      const result = await db
        .updateTable('tasks')
        .set({ ...taskColumns(values), id })
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      requireRow(result, 'task', id);
    },

    async insertDelivery(record) {
      const result = await db
        .insertInto('deliveries')
        .values(complete(deliveryColumns(record)))
        .onConflict((conflict) => conflict.column('id').doNothing())
        .executeTakeFirstOrThrow();
      return result.numInsertedOrUpdatedRows !== 0n;
    },

    async updateDelivery(id, values) {
      const result = await db
        .updateTable('deliveries')
        .set({ ...deliveryColumns(values), id })
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      requireRow(result, 'delivery', id);
    },
  };
}
