import { BerthError } from '../../protocol/errors.ts';
import type { ErrorCode } from '../../protocol/errors.ts';

/** Result codes of SQLite, the extended ones first. Source: sqlite.org/rescode.html */
const extendedCodes: Readonly<Record<number, Mapping>> = {
  1555: ['conflict', 'a record with this key exists'], // SQLITE_CONSTRAINT_PRIMARYKEY
  2067: ['conflict', 'a record with this key exists'], // SQLITE_CONSTRAINT_UNIQUE
  2579: ['conflict', 'a record with this key exists'], // SQLITE_CONSTRAINT_ROWID
  787: ['not_found', 'a record that this one refers to does not exist'], // SQLITE_CONSTRAINT_FOREIGNKEY
};

const primaryCodes: Readonly<Record<number, Mapping>> = {
  5: ['unavailable', 'the database is busy'], // SQLITE_BUSY
  6: ['unavailable', 'the database is busy'], // SQLITE_LOCKED
  7: ['resource_exhausted', 'the database ran out of memory'], // SQLITE_NOMEM
  10: ['resource_exhausted', 'the disk of the database failed'], // SQLITE_IOERR
  13: ['resource_exhausted', 'the disk of the database is full'], // SQLITE_FULL
  14: ['unavailable', 'the database file cannot be opened'], // SQLITE_CANTOPEN
  18: ['payload_too_large', 'the record is too large to store'], // SQLITE_TOOBIG
};

type Mapping = readonly [code: ErrorCode, message: string];

/** A failure of `node:sqlite` as a `BerthError`, by SQLite's result code. */
export function asStoreError(error: unknown): BerthError {
  if (error instanceof BerthError) return error;
  if ((error as { code?: unknown } | null)?.code === 'ERR_INVALID_STATE') {
    return new BerthError('unavailable', 'the store is closed', { cause: error });
  }
  const resultCode = (error as { errcode?: unknown } | null)?.errcode;
  if (typeof resultCode !== 'number') return new BerthError('internal', 'the database failed', { cause: error });
  const [code, message] = extendedCodes[resultCode] ?? primaryCodes[resultCode & 0xff] ?? unknownFailure;
  return new BerthError(code, message, { context: { sqliteCode: resultCode }, cause: error });
}

const unknownFailure: Mapping = ['internal', 'the database failed'];
