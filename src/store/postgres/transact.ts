import { setTimeout as sleep } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import type { Transact } from '../create-store.ts';
import type { Database } from '../schema.ts';
import { sqlStateOf } from './errors.ts';

/** Attempts beside other transactions. Few: the more are needed, the more work is thrown away. */
const sharedAttempts = 4;
/** Attempts alone. The first succeeds unless something other than a store writes to the tables. */
const aloneAttempts = 3;
/** Doubled at each attempt, and drawn at random below that. */
const firstDelayMs = 4;

const serializationFailures: readonly (string | null)[] = ['40001', '40P01'];
const uniqueViolation = '23505';

/**
 * Runs transactions so that they end as if one had gone after the other: serialisable ones, repeated when the
 * database found that two conflict. One that keeps losing is run alone at last, so each ends.
 *
 * A taken key is repeated once too: who took it may have committed after this transaction's snapshot, and
 * in the next one `fn` finds the record instead, as it would have, had it come later.
 *
 * A lost connection is not repeated: at the commit it is unknown whether that was carried out.
 */
export function createTransact(shared: Kysely<Database>, alone: Kysely<Database>): Transact {
  return async (body, options = {}) => {
    let keyTaken = false;
    for (let attempt = 1; ; attempt += 1) {
      const isAlone = options.alone === true || attempt > sharedAttempts;
      try {
        return await (isAlone ? alone : shared).transaction().execute(body);
      } catch (error) {
        const sqlState = sqlStateOf(error);
        const repeat = sqlState === uniqueViolation ? !keyTaken : serializationFailures.includes(sqlState);
        if (!repeat || attempt === sharedAttempts + aloneAttempts) throw error;
        keyTaken ||= sqlState === uniqueViolation;
      }
      if (attempt < sharedAttempts) await sleep(Math.random() * firstDelayMs * 2 ** attempt);
    }
  };
}
