import { BerthError } from '../protocol/errors.ts';

/** What the library does takes no signal of ours; it ends by its own time-out. Throws `timeout` when the signal comes first. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(new BerthError('timeout', 'the sign-in took too long; try again', { cause: signal.reason }));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    aborted.promise.catch(() => {});
  }
}
