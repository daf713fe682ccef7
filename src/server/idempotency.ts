import { createHash } from 'node:crypto';
import type { Store, StoreTransaction } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';

const keyPattern = /^[\x21-\x7e]{1,200}$/;
const inFlight = new Map<string, Promise<void>>();

/** Keeps the answer in the transaction that does the work, so that a crash leaves both or neither. */
export type SaveAnswer<T> = (tx: StoreTransaction, answer: T) => Promise<void>;

/**
 * Runs `work` once per key and gives its answer again to who repeats the request, at the same time or
 * later. Another body under the same key is a `conflict`. Only success is kept: a failed request may
 * be tried again.
 */
export async function idempotent<T>(
  store: Store,
  scope: string,
  key: string | undefined,
  body: unknown,
  work: (save: SaveAnswer<T>) => Promise<T>,
): Promise<T> {
  if (key === undefined) return work(async () => {});
  if (!keyPattern.test(key)) {
    throw new BerthError('invalid_request', 'Idempotency-Key: 1 to 200 printable characters', { field: 'Idempotency-Key' });
  }
  const requestHash = createHash('sha256').update(JSON.stringify(body)).digest('hex');
  const slot = `${scope} ${key}`;
  const before = inFlight.get(slot) ?? Promise.resolve();
  const answer = before.then(async () => {
    const earlier = await store.read.idempotentResponse(scope, key);
    if (earlier === null) {
      return work((tx, body) =>
        tx.saveIdempotentResponse({ scope, key, requestHash, status: 200, body, createdAt: new Date().toISOString() }),
      );
    }
    if (earlier.requestHash === requestHash) return earlier.body as T;
    throw new BerthError('conflict', 'this Idempotency-Key was used with another body', { field: 'Idempotency-Key' });
  });
  const settled = answer.then(
    () => {},
    () => {},
  );
  inFlight.set(slot, settled);
  try {
    return await answer;
  } finally {
    if (inFlight.get(slot) === settled) inFlight.delete(slot);
  }
}
