import { AsyncLocalStorage } from 'node:async_hooks';
import type { Kysely, Transaction } from 'kysely';
import type { Store, StoreTransaction, TransactionOptions } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import type { Engine } from './engine.ts';
import type { EventListeners } from './event-listeners.ts';
import type { WorkChannel } from './work-channel.ts';
import { createReads } from './reads/index.ts';
import type { Database } from './schema.ts';
import { createTransaction } from './transaction.ts';
import { auditWrites } from './writes/audit.ts';

/** Runs `body` in a database transaction that is serialisable; again, from the start, where the engine needs that. */
export type Transact = <T>(body: (db: Transaction<Database>) => Promise<T>, options?: TransactionOptions) => Promise<T>;

export interface StoreParts {
  transact: Transact;
  /** Runs the reads outside transactions; never waits for one. */
  reader: Kysely<Database>;
  engine: Engine;
  listeners: EventListeners;
  work: WorkChannel;
  /** Releases the databases; called once, with no transaction under way. */
  release: () => Promise<void>;
}

/**
 * The store over a migrated database. A transaction asked for inside another is refused with `internal`: it
 * could wait for the one that waits for it. After `close`, which waits for what was begun, every call is
 * refused with `unavailable`.
 */
export function createStore({ transact, reader, engine, listeners, work, release }: StoreParts): Store {
  const inside = new AsyncLocalStorage<{ open: boolean }>();
  const underWay = new Set<Promise<unknown>>();
  let closing: Promise<void> | null = null;

  async function run<T>(fn: (tx: StoreTransaction) => Promise<T>, options?: TransactionOptions): Promise<T> {
    const scope = { open: true };
    try {
      const { result, appended } = await transact(async (db) => {
        const appended = new Map<string, number>();
        const failures: unknown[] = [];
        const audit = auditWrites(db, engine);
        const tx = createTransaction(db, engine, audit, (sessionId, lastSeq) => void appended.set(sessionId, lastSeq));
        const result = await inside.run(scope, () => fn(noting(tx, failures)));
        if (failures.length > 0) throw failures[0];
        await audit.link();
        return { result, appended };
      }, options);
      scope.open = false;
      listeners.tell(appended);
      return result;
    } finally {
      scope.open = false;
    }
  }

  return {
    transaction(fn, options) {
      if (closing !== null) return Promise.reject(new BerthError('unavailable', 'the store is closed'));
      if (inside.getStore()?.open) {
        return Promise.reject(new BerthError('internal', 'a transaction was begun inside another'));
      }
      const result = run(fn, options);
      underWay.add(result);
      const forget = (): void => void underWay.delete(result);
      result.then(forget, forget);
      return result;
    },
    read: createReads(reader, engine),
    onEvents: (listener) => listeners.add(listener),
    announceWork: (to) =>
      closing === null ? work.announce(to) : Promise.reject(new BerthError('unavailable', 'the store is closed')),
    onWork: (listener) => work.add(listener),
    close() {
      closing ??= Promise.allSettled(underWay).then(release);
      return closing;
    },
  };
}

/** The same transaction, which notes each call that failed: Postgres commits nothing after one, so no engine does. */
function noting(tx: StoreTransaction, failures: unknown[]): StoreTransaction {
  const calls = Object.entries(tx).map(([name, call]: [string, (...args: unknown[]) => Promise<unknown>]) => [
    name,
    async (...args: unknown[]) => {
      try {
        return await call(...args);
      } catch (error) {
        failures.push(error);
        throw error;
      }
    },
  ]);
  return Object.fromEntries(calls) as StoreTransaction;
}
