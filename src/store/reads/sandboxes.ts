import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { sandboxStatus, toSandbox } from '../rows/sandbox.ts';
import type { Database } from '../schema.ts';

export function sandboxReads(db: Kysely<Database>): Pick<StoreReads, 'sandbox' | 'sandboxes' | 'sandboxCounts'> {
  return {
    async sandbox(id) {
      const row = await db.selectFrom('sandboxes').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toSandbox(row);
    },

    async sandboxes({ statuses, sessionId, unowned = false } = {}) {
      let query = db.selectFrom('sandboxes').selectAll().orderBy('id');
      if (statuses !== undefined) query = query.where('status', 'in', [...statuses]);
      if (sessionId !== undefined) query = query.where('session_id', '=', sessionId);
      if (unowned) query = query.where('session_id', 'is', null);
      return (await query.execute()).map(toSandbox);
    },

    async sandboxCounts() {
      const rows = await db
        .selectFrom('sandboxes')
        .select(['status', (count) => count.fn.countAll<number | string>().as('count')])
        .groupBy('status')
        .execute();
      return new Map(rows.map(({ status, count }) => [sandboxStatus(status), Number(count)]));
    },
  };
}
