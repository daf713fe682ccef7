import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toSession } from '../rows/session.ts';
import type { Database } from '../schema.ts';

export function sessionReads(db: Kysely<Database>): Pick<StoreReads, 'session' | 'sessions'> {
  return {
    async session(id) {
      const row = await db.selectFrom('sessions').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toSession(row);
    },

    async sessions({ owner, statuses, archived, deleting, before, limit }) {
      let query = db.selectFrom('sessions').selectAll();
      if (owner !== undefined) query = query.where('owner', '=', owner);
      if (statuses !== undefined) query = query.where('status', 'in', [...statuses]);
      if (archived !== undefined) query = query.where('archived_at', archived ? 'is not' : 'is', null);
      if (deleting !== undefined) query = query.where('deleting_at', deleting ? 'is not' : 'is', null);
      if (before !== undefined) query = query.where('id', '<', before);
      const rows = await query.orderBy('id', 'desc').limit(limit).execute();
      return rows.map(toSession);
    },
  };
}
