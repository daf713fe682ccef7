import { BerthError } from '../protocol/errors.ts';

/** Resolves after `ms`; rejects with `cancelled` as soon as the signal fires. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(cancelled(signal));
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(cancelled(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Wait before reconnect number `attempt` (from 0): doubling up to a limit, with jitter so that clients do not return in step. */
export function backoffMs(attempt: number, limitMs = 10_000): number {
  const full = Math.min(limitMs, 200 * 2 ** Math.min(attempt, 16));
  return full / 2 + (Math.random() * full) / 2;
}

function cancelled(signal: AbortSignal | undefined): BerthError {
  return new BerthError('cancelled', 'the operation was cancelled', { cause: signal?.reason });
}
