import { asBerthError, BerthError } from '../../protocol/errors.ts';

/**
 * A failure between the runner and us, as the port's contract names it: the caller's own signal, an error the
 * provider's `dial` gave, or else a lost sandbox; a byte stream has no other way to fail.
 */
export function transportFailure(error: unknown, signal: AbortSignal): BerthError {
  if (signal.aborted) {
    const reason = asBerthError(signal.reason);
    return reason.code === 'internal'
      ? new BerthError('cancelled', 'the operation was cancelled', { cause: signal.reason })
      : reason;
  }
  if (error instanceof BerthError) return error;
  return new BerthError('sandbox_lost', 'the connection to the sandbox broke', {
    context: { errno: (error as NodeJS.ErrnoException | null)?.code },
    cause: error,
  });
}

/** An answer that is not what the runner's API says: the program there is not ours, or not of our version. */
export function badAnswer(what: string, cause?: unknown): BerthError {
  return new BerthError('upstream_failed', `the runner sent ${what}`, cause === undefined ? {} : { cause });
}
