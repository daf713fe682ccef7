import { sql, type Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import type { Engine } from '../engine.ts';
import { toHost } from '../rows/host.ts';
import type { Database } from '../schema.ts';

export function hostReads(db: Kysely<Database>, engine: Engine): Pick<StoreReads, 'hosts' | 'holdsLease' | 'keyCheck'> {
  const isLive = sql<boolean>`(lease_until is null or lease_until > ${engine.later(0)})`;
  return {
    async hosts() {
      const rows = await db
        .selectFrom('hosts')
        .selectAll()
        .select(sql<number | boolean>`case when ${isLive} then 1 else 0 end`.as('live'))
        .orderBy('id')
        .execute();
      return rows.map(toHost);
    },

    async holdsLease(id, epoch) {
      const row = await db
        .selectFrom('hosts')
        .select('id')
        .where('id', '=', id)
        .where('epoch', '=', epoch)
        .where(isLive)
        .executeTakeFirst();
      return row !== undefined;
    },

    async keyCheck() {
      const row = await db.selectFrom('installation').select('key_check').where('singleton', '=', 1).executeTakeFirst();
      return row?.key_check ?? null;
    },
  };
}
