import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { complete } from '../rows/columns.ts';
import { webhookColumns } from '../rows/webhook.ts';
import type { Database } from '../schema.ts';
import { requireRow } from './require-row.ts';

export function webhookWrites(db: Kysely<Database>): Pick<StoreTransaction, 'insertWebhook' | 'updateWebhook'> {
  return {
    async insertWebhook(record) {
      await db
        .insertInto('webhooks')
        .values(complete(webhookColumns(record)))
        .onConflict((conflict) => conflict.column('id').doNothing())
        .execute();
    },

    async updateWebhook(id, values) {
      const result = await db
        .updateTable('webhooks')
        .set({ ...webhookColumns(values), id })
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      requireRow(result, 'webhook', id);
    },
  };
}
