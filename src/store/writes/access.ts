import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { idempotentResponseColumns, tokenColumns } from '../rows/access.ts';
import { complete } from '../rows/columns.ts';
import type { Database } from '../schema.ts';
import { requireRow } from './require-row.ts';

type AccessWrites = Pick<StoreTransaction, 'saveIdempotentResponse' | 'insertToken' | 'updateToken'>;

export function accessWrites(db: Kysely<Database>): AccessWrites {
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

    async updateToken(id, values) {
      const result = await db
        .updateTable('tokens')
        .set({ ...tokenColumns(values), id })
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      requireRow(result, 'token', id);
    },
  };
}
