import { createHash } from 'node:crypto';
import type { Store } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';

const keyPattern = /^[\x21-\x7e]{1,200}$/;
const inFlight = new Map<string, Promise<unknown>>();

/**
 * Runs `work` once per key and gives its answer again to who repeats the request. Another body under
 * the same key is a `conflict`. Only success is kept: a failed request may be tried again.
 */
export async function idempotent<T>(
  store: Store,
  scope: string,
  key: string | undefined,
  body: unknown,
  work: () => Promise<T>,
): Promise<T> {
  if (key === undefined) return work();
  if (!keyPattern.test(key)) {
    throw new BerthError('invalid_request', 'Idempotency-Key: 1 to 200 printable characters', { field: 'Idempotency-Key' });
  }
  const requestHash = createHash('sha256').update(JSON.stringify(body)).digest('hex');
  const slot = `${scope} ${key}`;
  await inFlight.get(slot)?.catch(() => {});
  const earlier = await store.read.idempotentResponse(scope, key);
  if (earlier !== null) {
    if (earlier.requestHash === requestHash) return earlier.body as T;
    throw new BerthError('conflict', 'this Idempotency-Key was used with another body', { field: 'Idempotency-Key' });
  }
  const running = work().then(async (result) => {
    await store.transaction((tx) =>
      tx.saveIdempotentResponse({ scope, key, requestHash, status: 200, body: result, createdAt: new Date().toISOString() }),
    );
    return result;
  });
  inFlight.set(slot, running);
  try {
    return await running;
  } finally {
    inFlight.delete(slot);
  }
}
