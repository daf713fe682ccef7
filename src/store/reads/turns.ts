import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toTurn } from '../rows/turn.ts';
import type { Database } from '../schema.ts';

export function turnReads(db: Kysely<Database>): Pick<StoreReads, 'turn' | 'turnByKey' | 'turns' | 'turnsInState'> {
  return {
    async turn(id) {
      const row = await db.selectFrom('turns').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toTurn(row);
    },

    async turnByKey(sessionId, idempotencyKey) {
      const row = await db
        .selectFrom('turns')
        .selectAll()
        .where('session_id', '=', sessionId)
        .where('idempotency_key', '=', idempotencyKey)
        .executeTakeFirst();
      return row === undefined ? null : toTurn(row);
    },

    async turns(sessionId, states) {
      let query = db.selectFrom('turns').selectAll().where('session_id', '=', sessionId);
      if (states !== undefined) query = query.where('state', 'in', [...states]);
      const rows = await query.orderBy('created_at').orderBy('ordinal').execute();
      return rows.map(toTurn);
    },

    /** The highest priority first. Two turns of one millisecond go by order of insertion. */
    async turnsInState(states, hostId) {
      let query = db
        .selectFrom('turns')
        .selectAll()
        .where('state', 'in', [...states]);
      if (hostId !== undefined) query = query.where('host_id', '=', hostId);
      const rows = await query
        .orderBy('priority', 'desc')
        .orderBy('created_at')
        .orderBy('ordinal')
        .execute();
      return rows.map(toTurn);
    },
  };
}
