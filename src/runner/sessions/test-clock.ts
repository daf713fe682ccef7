import { systemClock, type Clock } from './clock.ts';

/** Waits below this are the machine's own (merging, polling); longer ones end only when a test says so. */
const realBelowMs = 3000;

interface Sleeper {
  delayMs: number;
  wake(): void;
}

/** A clock for tests: long waits are held until `release`, so that no test sleeps. */
export class TestClock implements Clock {
  readonly #sleepers = new Set<Sleeper>();
  readonly #arrivals = new Set<() => void>();

  now(): Date {
    return new Date();
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    if (delayMs < realBelowMs) return systemClock.sleep(delayMs, signal);
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const sleeper: Sleeper = {
        delayMs,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      const abort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#sleepers.add(sleeper);
      for (const arrived of this.#arrivals) arrived();
    });
  }

  /** Ends the wait of exactly `delayMs`, as soon as there is one. */
  async release(delayMs: number): Promise<void> {
    for (;;) {
      const sleeper = [...this.#sleepers].find((candidate) => candidate.delayMs === delayMs);
      if (sleeper !== undefined) {
        sleeper.wake();
        return;
      }
      await new Promise<void>((resolve) => {
        const arrived = () => {
          this.#arrivals.delete(arrived);
          resolve();
        };
        this.#arrivals.add(arrived);
      });
    }
  }
}
