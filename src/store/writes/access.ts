import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { idempotentResponseColumns, tokenColumns } from '../rows/access.ts';
import { complete } from '../rows/columns.ts';
import type { Database } from '../schema.ts';

export function accessWrites(db: Kysely<Database>): Pick<StoreTransaction, 'saveIdempotentResponse' | 'insertToken'> {
  return {
    /** Throws `conflict` when the key is taken, so that of two equal requests at once one is undone. */
    async saveIdempotentResponse(record) {
      await db
        .insertInto('idempotent_responses')
        .values(complete(idempotentResponseColumns(record)))
        .execute();
    },

    async insertToken(record) {
      await db
        .insertInto('tokens')
        .values(complete(tokenColumns(record)))
        .execute();
    },
  };
}
