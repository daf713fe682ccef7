export interface BeginOptions {
  /** Names this store in what it announces; letters, digits and `_` only. */
  origin: string;
  statementTimeoutMs: number;
  idleTimeoutMs: number;
}

/**
 * The SQL that begins a transaction, one round trip. `shared` ones run beside each other; one begun `alone`
 * waits for those under way, and holds up the rest: nothing is left that it could conflict with.
 *
 * The lock comes before any SELECT, since the snapshot of a serialisable transaction is taken at the first
 * (postgresql.org/docs/15/sql-lock.html). Settings are local, so a connection pooler between does not matter.
 * Sequential scans are off because one locks the whole table for the check of serialisability, and the planner
 * prefers them on small tables: every two transactions would conflict (section 13.2.3 of the manual).
 */
export function beginSql(mode: 'shared' | 'alone', options: BeginOptions): string {
  return [
    'begin isolation level serializable',
    `set local statement_timeout = ${options.statementTimeoutMs}`,
    `set local idle_in_transaction_session_timeout = ${options.idleTimeoutMs}`,
    'set local enable_seqscan = off',
    `set local berth.origin = '${options.origin}'`,
    `lock table transaction_gate in ${mode === 'shared' ? 'row share' : 'exclusive'} mode`,
  ].join('; ');
}
