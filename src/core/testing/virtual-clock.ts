import type { Clock } from '../ports/clock.ts';

/** Time that passes only when a test lets it: from one sleeper to the next, once nothing is left to do now. */
export interface VirtualClock extends Clock {
  /** Lets everything happen that needs no time. */
  settle(): Promise<void>;
  /** Goes on from sleeper to sleeper until `condition`, asked at each stop. Throws when `limitMs` has passed. */
  runUntil(condition: () => boolean | Promise<boolean>, limitMs?: number): Promise<void>;
  /** Lets this much time pass. */
  pass(durationMs: number): Promise<void>;
}

interface Sleeper {
  atMs: number;
  wake: () => void;
}

export function createVirtualClock(start = '2026-11-24T00:00:00.000Z'): VirtualClock {
  let nowMs = Date.parse(start);
  const sleepers = new Set<Sleeper>();

  async function settle(): Promise<void> {
    // Doubles and the in-memory store do no I/O, so that a few turns of the event loop are enough.
    for (let round = 0; round < 6; round += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  const clock: VirtualClock = {
    now: () => new Date(nowMs),
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason as Error);
        const sleeper = { atMs: nowMs + Math.max(0, delayMs), wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', () => {
          if (sleepers.delete(sleeper)) reject(signal.reason as Error);
        });
      }),
    settle,
    async runUntil(condition, limitMs = 24 * 60 * 60_000) {
      const endMs = nowMs + limitMs;
      for (;;) {
        await settle();
        if (await condition()) return;
        const next = [...sleepers].reduce<Sleeper | null>((a, b) => (a === null || b.atMs < a.atMs ? b : a), null);
        if (next === null || next.atMs > endMs) throw new Error('the condition never came true');
        nowMs = Math.max(nowMs, next.atMs);
        for (const sleeper of sleepers) {
          if (sleeper.atMs <= nowMs && sleepers.delete(sleeper)) sleeper.wake();
        }
      }
    },
    async pass(durationMs) {
      let over = false;
      void clock.sleep(durationMs).then(() => (over = true));
      await clock.runUntil(() => over);
    },
  };
  return clock;
}
