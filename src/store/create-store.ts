import { AsyncLocalStorage } from 'node:async_hooks';
import type { Kysely } from 'kysely';
import type { Logger } from '../core/ports/logger.ts';
import type { Store } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import type { Engine } from './engine.ts';
import { createEventListeners } from './event-listeners.ts';
import { createReads } from './reads/index.ts';
import type { Database } from './schema.ts';
import { createTransaction } from './transaction.ts';

export interface StoreParts {
  /** Runs the transactions. */
  writer: Kysely<Database>;
  /** Runs the reads outside them; never waits for a transaction. */
  reader: Kysely<Database>;
  engine: Engine;
  /** Releases both; called once, with no transaction under way. */
  release: () => Promise<void>;
  logger?: Logger;
}

/**
 * The store over two migrated databases. Transactions asked for at once go one after the other where the
 * engine has a single writer. One asked for inside another is refused with `internal`: it would
 * wait for the one that waits for it. After `close`, which waits for what was begun, every call is
 * refused with `unavailable`.
 */
export function createStore({ writer, reader, engine, release, logger }: StoreParts): Store {
  const listeners = createEventListeners(logger);
  const inside = new AsyncLocalStorage<{ open: boolean }>();
  const underWay = new Set<Promise<unknown>>();
  let closing: Promise<void> | null = null;

  async function run<T>(fn: Parameters<Store['transaction']>[0]): Promise<T> {
    const appended = new Map<string, number>();
    const scope = { open: true };
    try {
      const result = await writer.transaction().execute((db) => {
        const tx = createTransaction(db, engine, (sessionId, lastSeq) => void appended.set(sessionId, lastSeq));
        return inside.run(scope, () => fn(tx));
      });
      scope.open = false;
      listeners.tell(appended);
      return result as T;
    } finally {
      scope.open = false;
    }
  }

  return {
    transaction(fn) {
      if (closing !== null) return Promise.reject(new BerthError('unavailable', 'the store is closed'));
      if (inside.getStore()?.open) {
        return Promise.reject(new BerthError('internal', 'a transaction was begun inside another'));
      }
      const result = run<Awaited<ReturnType<typeof fn>>>(fn);
      underWay.add(result);
      const forget = (): void => void underWay.delete(result);
      result.then(forget, forget);
      return result;
    },
    read: createReads(reader),
    onEvents: (listener) => listeners.add(listener),
    close() {
      closing ??= Promise.allSettled(underWay).then(release);
      return closing;
    },
  };
}
