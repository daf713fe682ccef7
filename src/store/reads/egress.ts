import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toEgressDecision } from '../rows/egress.ts';
import type { Database } from '../schema.ts';

export function egressReads(db: Kysely<Database>): Pick<StoreReads, 'egressDecisions'> {
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
  };
}
