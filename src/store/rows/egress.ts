import type { Insertable, Selectable } from 'kysely';
import type { EgressDecisionRecord } from '../../core/ports/store.ts';
import type { EgressDecisionsTable } from '../schema.ts';

export function egressDecisionColumns(decision: EgressDecisionRecord): Insertable<EgressDecisionsTable> {
  return {
    session_id: decision.sessionId,
    host: decision.host,
    port: decision.port,
    allowed: decision.allowed ? 1 : 0,
    reason: decision.reason,
    count: decision.count,
    first_at: decision.firstAt,
    last_at: decision.lastAt,
  };
}

export function toEgressDecision(row: Selectable<EgressDecisionsTable>): EgressDecisionRecord {
  return {
    sessionId: row.session_id,
    host: row.host,
    port: row.port,
    allowed: row.allowed === 1,
    reason: row.reason,
    count: row.count,
    firstAt: row.first_at,
    lastAt: row.last_at,
  };
}
