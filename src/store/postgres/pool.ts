import pg from 'pg';
import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type { Logger } from '../../core/ports/logger.ts';
import { BerthError } from '../../protocol/errors.ts';
import { asStoreError, endsConnection } from './errors.ts';

/** How long to wait for a connection, a new one or one in use, before `unavailable`. */
const connectTimeoutMs = 15_000;
/** After the database's own timeout, for when its answer does not arrive. */
const answerGraceMs = 10_000;
/** Silence after which the kernel probes a connection, so that a vanished host is noticed. */
const keepAliveMs = 10_000;

export interface PoolOptions {
  url: string;
  /** Most connections at once. */
  size: number;
  /** The longest statement; `null` for no limit. */
  statementTimeoutMs: number | null;
  logger?: Logger | undefined;
}

/** What every connection is made with. */
export function connectionConfig(url: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: 'berth',
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    types: { getTypeParser },
  };
}

/**
 * A pool of `pg` in the shape that Kysely wants. Every failure is a `BerthError`; a connection that failed
 * is not used again, so that the pool goes on when the database is back. Nothing is connected before the first call.
 */
export function createPool({ url, size, statementTimeoutMs, logger }: PoolOptions): PostgresPool {
  const pool = new pg.Pool({
    ...connectionConfig(url),
    max: size,
    ...(statementTimeoutMs === null
      ? {}
      : { statement_timeout: statementTimeoutMs, query_timeout: statementTimeoutMs + answerGraceMs }),
  });
  pool.on('error', (error) => logger?.warn({ err: error }, 'an idle connection to the database was lost'));
  // A connection lost between two statements has no one to tell; the next statement fails on it.
  pool.on('connect', (client) => client.on('error', () => {}));

  return {
    options: {},
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect().catch((error: unknown) => {
        throw asStoreError(error);
      });
      let broken = false;
      async function query(sql: string, parameters: readonly unknown[]): Promise<unknown> {
        try {
          return await client.query(sql, parameters.map(withoutNul));
        } catch (error) {
          broken ||= endsConnection(error);
          throw asStoreError(error);
        }
      }
      return {
        // Without the overload for cursors, which Kysely uses only when it was given one.
        query: query as PostgresPoolClient['query'],
        release: (destroy = false) => client.release(destroy || broken),
      };
    },
  };
}

/** Postgres keeps no NUL in text. (In JSON it is an escape, and kept.) */
function withoutNul(value: unknown): unknown {
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\u{fffd}') : value;
}

const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format?: 'text' | 'binary') =>
  oid === pg.types.builtins.INT8 && format !== 'binary'
    ? toSafeInteger
    : // oxlint-disable-next-line typescript/no-explicit-any -- an overload for each format
      pg.types.getTypeParser(oid, format as any);

function toSafeInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  throw new BerthError('internal', 'a stored integer is too large', { context: { value: text } });
}
