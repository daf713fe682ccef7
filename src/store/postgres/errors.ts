import pg from 'pg';
import { BerthError } from '../../protocol/errors.ts';
import type { ErrorCode } from '../../protocol/errors.ts';

type Mapping = readonly [code: ErrorCode, message: string];

/** SQLSTATEs, then their classes. Source: postgresql.org/docs/15/errcodes-appendix.html */
const states: Readonly<Record<string, Mapping>> = {
  '21000': ['conflict', 'a record with this key exists'], // cardinality_violation, one key twice in one statement
  '22021': ['invalid_request', 'the text cannot be stored'], // character_not_in_repertoire
  '23503': ['not_found', 'a record that this one refers to does not exist'], // foreign_key_violation
  '23505': ['conflict', 'a record with this key exists'], // unique_violation
  '25006': ['unavailable', 'the database is read-only'], // read_only_sql_transaction: a standby
  '25P03': ['timeout', 'the transaction stood still for too long'], // idle_in_transaction_session_timeout
  '3D000': ['unavailable', 'the database does not exist'], // invalid_catalog_name
  '40001': ['unavailable', 'the database is too contended'], // serialization_failure
  '40P01': ['unavailable', 'the database is too contended'], // deadlock_detected
  '55P03': ['unavailable', 'the database is busy'], // lock_not_available
  '57014': ['timeout', 'the database took too long'], // query_canceled: the statement timeout
  '58030': ['resource_exhausted', 'the disk of the database failed'], // io_error
};

const classes: Readonly<Record<string, Mapping>> = {
  '08': ['unavailable', 'the connection to the database was lost'],
  '28': ['unavailable', 'the database refused the credentials'],
  '53': ['resource_exhausted', 'the database ran out of disk or memory'],
  '54': ['payload_too_large', 'the record is too large to store'],
  '57': ['unavailable', 'the database is shutting down or starting'],
};

/** Of class 53, yet passing by itself: too_many_connections. */
const tooManyConnections = '53300';

/**
 * A failure of `pg` as a `BerthError`, by its SQLSTATE. One without was not told by the database, so the
 * connection is at fault, unless it is a mistake of ours in the call.
 */
export function asStoreError(error: unknown): BerthError {
  if (error instanceof BerthError) return error;
  const sqlState = sqlStateOf(error);
  if (sqlState === null) {
    if (error instanceof TypeError) return new BerthError('internal', 'the database failed', { cause: error });
    return new BerthError('unavailable', 'the database cannot be reached', { cause: error });
  }
  const [code, message] = mapping(sqlState);
  return new BerthError(code, message, { context: { sqlState }, cause: error });
}

function mapping(sqlState: string): Mapping {
  if (sqlState === tooManyConnections) return ['unavailable', 'the database has no connection left'];
  return states[sqlState] ?? classes[sqlState.slice(0, 2)] ?? ['internal', 'the database failed'];
}

/** The SQLSTATE behind an error, however often it was wrapped; `null` where the database told none. */
export function sqlStateOf(error: unknown): string | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof pg.DatabaseError) return cause.code ?? null;
  }
  return null;
}

/** Whether the connection is of no more use after this failure. */
export function endsConnection(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return true;
  return error.severity === 'FATAL' || error.severity === 'PANIC';
}
