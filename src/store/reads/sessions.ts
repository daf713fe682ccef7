import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toSession } from '../rows/session.ts';
import type { Database } from '../schema.ts';
import { isVisible } from './visible.ts';

export function sessionReads(db: Kysely<Database>): Pick<StoreReads, 'session' | 'sessions'> {
  const sessions = () =>
    db
      .selectFrom('sessions')
      .leftJoin('sandboxes', 'sandboxes.id', 'sessions.sandbox_id')
      .selectAll('sessions')
      .select('sandboxes.host_id');

  return {
    async session(id) {
      const row = await sessions().where('sessions.id', '=', id).executeTakeFirst();
      return row === undefined ? null : toSession(row);
    },

    async sessions({ owner, visibleTo, ids, statuses, archived, deleting, before, limit }) {
      if (ids?.length === 0) return [];
      let query = sessions();
      if (owner !== undefined) query = query.where('sessions.owner', '=', owner);
      if (visibleTo !== undefined) query = query.where((where) => isVisible(where, visibleTo));
      if (ids !== undefined) query = query.where('sessions.id', 'in', [...ids]);
      if (statuses !== undefined) query = query.where('sessions.status', 'in', [...statuses]);
      if (archived !== undefined) query = query.where('sessions.archived_at', archived ? 'is not' : 'is', null);
      if (deleting !== undefined) query = query.where('sessions.deleting_at', deleting ? 'is not' : 'is', null);
      if (before !== undefined) query = query.where('sessions.id', '<', before);
      const rows = await query.orderBy('sessions.id', 'desc').limit(limit).execute();
      return rows.map(toSession);
    },
  };
}
