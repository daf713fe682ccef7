import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { egressDecisionColumns } from '../rows/egress.ts';
import type { Database } from '../schema.ts';

export function egressWrites(db: Kysely<Database>): Pick<StoreTransaction, 'addEgressDecision'> {
  return {
    async addEgressDecision(record) {
      await db
        .insertInto('egress_decisions')
        .values(egressDecisionColumns(record))
        .onConflict((conflict) =>
          conflict.columns(['session_id', 'host', 'port', 'allowed']).doUpdateSet((eb) => ({
            count: eb('egress_decisions.count', '+', record.count),
            reason: record.reason,
            last_at: record.lastAt,
          })),
        )
        .execute();
    },
  };
}
