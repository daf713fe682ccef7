import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { complete } from '../rows/columns.ts';
import { permissionColumns } from '../rows/permission.ts';
import type { Database } from '../schema.ts';

export function permissionWrites(db: Kysely<Database>): Pick<StoreTransaction, 'upsertPermission'> {
  return {
    async upsertPermission(record) {
      const columns = complete(permissionColumns(record));
      await db
        .insertInto('permissions')
        .values(columns)
        .onConflict((conflict) => conflict.columns(['session_id', 'request_id']).doUpdateSet(columns))
        .execute();
    },
  };
}
