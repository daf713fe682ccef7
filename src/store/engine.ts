import type { ColumnDataType, ColumnDefinitionBuilder, Kysely, RawBuilder } from 'kysely';

/** What differs between database engines; everything else in `store/` is the same on all of them. */
export interface Engine {
  /** Text compared byte by byte, whatever the database's collation. */
  id: ColumnDataType | RawBuilder<string>;
  /** 64-bit integer. */
  big: ColumnDataType | RawBuilder<number>;
  /** Makes a column of type `big` count up by itself; the column is the primary key. */
  identity(column: ColumnDefinitionBuilder): ColumnDefinitionBuilder;
  /** Ends a `create table`. */
  tableEnd: RawBuilder<unknown>;
  /** Makes the database itself refuse to rewrite the event log. */
  sealEvents(db: Kysely<unknown>): Promise<void>;
  /** Makes the database itself refuse to change or shorten the audit log. */
  sealAudit(db: Kysely<unknown>): Promise<void>;
  /** Adds to the first tables what this engine alone needs. */
  complete(db: Kysely<unknown>): Promise<void>;
  /** The database's clock so many milliseconds from now, as ISO 8601 text in UTC. */
  later(ms: number): RawBuilder<string>;
  /** Whether `select ... for update` exists. Without it one transaction writes at a time. */
  rowLocks: boolean;
  /** Most bound values in one statement. */
  maxParameters: number;
}
