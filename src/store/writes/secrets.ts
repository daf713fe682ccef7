import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { secretColumns } from '../rows/secret.ts';
import type { Database } from '../schema.ts';

export function secretWrites(db: Kysely<Database>): Pick<StoreTransaction, 'upsertSecret' | 'deleteSecret'> {
  return {
    async upsertSecret(record) {
      const { id: _id, created_at: _createdAt, ...columns } = secretColumns(record);
      await db
        .insertInto('secrets')
        .values(secretColumns(record))
        .onConflict((conflict) => conflict.column('id').doUpdateSet(columns))
        .execute();
    },
    async deleteSecret(id) {
      await db.deleteFrom('secrets').where('id', '=', id).execute();
    },
  };
}
