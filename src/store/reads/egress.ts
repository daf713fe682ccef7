import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toEgressDecision } from '../rows/egress.ts';
import type { Database } from '../schema.ts';
import { isVisible } from './visible.ts';

export function egressReads(db: Kysely<Database>): Pick<StoreReads, 'egressDecisions' | 'egressDecisionsOfAll'> {
  return {
    async egressDecisions(sessionId, limit) {
      const rows = await db
        .selectFrom('egress_decisions')
        .selectAll()
        .where('session_id', '=', sessionId)
        .orderBy('last_at', 'desc')
        .orderBy('host')
        .orderBy('port')
        .limit(limit)
        .execute();
      return rows.map(toEgressDecision);
    },

    async egressDecisionsOfAll({ visibleTo, sessionId, host, allowed, limit }) {
      let query = db.selectFrom('egress_decisions').selectAll();
      if (visibleTo !== undefined) {
        query = query.where('session_id', 'in', (where) =>
          where.selectFrom('sessions').select('sessions.id').where((session) => isVisible(session, visibleTo)),
        );
      }
      if (sessionId !== undefined) query = query.where('session_id', '=', sessionId);
      if (allowed !== undefined) query = query.where('allowed', '=', allowed ? 1 : 0);
      if (host !== undefined) query = query.where('host', 'like', `%${host.toLowerCase().replace(/[%\\]/g, '')}%`);
      const rows = await query
        .orderBy('last_at', 'desc')
        .orderBy('session_id')
        .orderBy('host')
        .orderBy('port')
        .limit(limit)
        .execute();
      return rows.map(toEgressDecision);
    },
  };
}
