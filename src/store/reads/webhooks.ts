import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toWebhook } from '../rows/webhook.ts';
import type { Database } from '../schema.ts';

export function webhookReads(db: Kysely<Database>): Pick<StoreReads, 'webhook' | 'dueWebhooks' | 'nextWebhookAt'> {
  return {
    async webhook(id) {
      const row = await db.selectFrom('webhooks').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toWebhook(row);
    },

    async dueWebhooks(at, limit) {
      const rows = await db
        .selectFrom('webhooks')
        .selectAll()
        .where('state', '=', 'pending')
        .where('next_attempt_at', '<=', at)
        .orderBy('next_attempt_at')
        .orderBy('id')
        .limit(limit)
        .execute();
      return rows.map(toWebhook);
    },

    async nextWebhookAt() {
      const row = await db
        .selectFrom('webhooks')
        .select('next_attempt_at')
        .where('state', '=', 'pending')
        .orderBy('next_attempt_at')
        .limit(1)
        .executeTakeFirst();
      return row?.next_attempt_at ?? null;
    },
  };
}
