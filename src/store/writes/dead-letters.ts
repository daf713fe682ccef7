import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { complete } from '../rows/columns.ts';
import { deadLetterColumns } from '../rows/dead-letter.ts';
import type { Database } from '../schema.ts';

export function deadLetterWrites(db: Kysely<Database>): Pick<StoreTransaction, 'upsertDeadLetter'> {
  return {
    async upsertDeadLetter(record) {
      const columns = complete(deadLetterColumns(record));
      await db
        .insertInto('dead_letters')
        .values(columns)
        .onConflict((conflict) => conflict.column('turn_id').doUpdateSet(columns))
        .execute();
    },
  };
}
