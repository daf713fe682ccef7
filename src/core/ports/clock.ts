/** Time, injected so that tests need no sleep. */
export interface Clock {
  now(): Date;
  /** Resolves after `delayMs`; rejects with the signal's reason when it fires. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}
