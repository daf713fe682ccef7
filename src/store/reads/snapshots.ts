import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toSnapshot } from '../rows/snapshot.ts';
import type { Database } from '../schema.ts';

export function snapshotReads(db: Kysely<Database>): Pick<StoreReads, 'snapshot' | 'snapshots'> {
  return {
    async snapshot(id) {
      const row = await db.selectFrom('snapshots').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toSnapshot(row);
    },

    async snapshots({ hostId, owner, name, sessionId, states } = {}) {
      let query = db.selectFrom('snapshots').selectAll();
      if (hostId !== undefined) query = query.where('host_id', '=', hostId);
      if (owner !== undefined) query = query.where('owner', '=', owner);
      if (name !== undefined) query = query.where('name', '=', name);
      if (sessionId !== undefined) query = query.where('session_id', '=', sessionId);
      if (states !== undefined) query = query.where('state', 'in', [...states]);
      const rows = await query.orderBy('id', 'desc').execute();
      return rows.map(toSnapshot);
    },
  };
}
