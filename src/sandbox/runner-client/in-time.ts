import { BerthError } from '../../protocol/errors.ts';

/** Runs `use` with a signal that also fires when `withinMs` are over, with code `timeout`; `null`: never. */
export async function inTime<T>(
  withinMs: number | null,
  signal: AbortSignal,
  use: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (withinMs === null) return use(signal);
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new BerthError('timeout', `the runner did not answer within ${withinMs} ms`)),
    withinMs,
  );
  try {
    return await use(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}
