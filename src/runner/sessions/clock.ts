/**
 * Time, injected so that tests need no sleep. The same shape as `core/ports/clock.ts`, which the
 * runner may not import.
 */
export interface Clock {
  now(): Date;
  /** Resolves after `delayMs`; rejects with the signal's reason when it fires. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => new Date(),
  sleep: (delayMs, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const abort = () => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', abort);
        resolve();
      }, delayMs);
      timer.unref();
      signal?.addEventListener('abort', abort, { once: true });
    }),
};

/** Runs `action` after `delayMs` unless the returned function is called first. */
export function after(clock: Clock, delayMs: number, action: () => void): () => void {
  const controller = new AbortController();
  clock.sleep(delayMs, controller.signal).then(
    () => {
      if (!controller.signal.aborted) action();
    },
    () => undefined,
  );
  return () => controller.abort();
}

/** `true` when `promise` settled within `delayMs`; its outcome is the caller's to read. */
export async function settledWithin(clock: Clock, promise: Promise<unknown>, delayMs: number): Promise<boolean> {
  const controller = new AbortController();
  const timedOut = clock.sleep(delayMs, controller.signal).then(
    () => false,
    () => true,
  );
  const settled = promise.then(
    () => true,
    () => true,
  );
  const result = await Promise.race([settled, timedOut]);
  controller.abort();
  return result;
}
