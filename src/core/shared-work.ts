/**
 * Work that concurrent callers share: the first call for a key starts it, later ones join. Each
 * caller can leave by its own signal; when the last has left, the work is aborted. A result is not
 * kept: a call after the end starts anew.
 */
export interface SharedWork<T> {
  /** `onProgress` hears of what happens from now on, and of the latest message at once. */
  run(key: string, onProgress: (message: string) => void, signal: AbortSignal): Promise<T>;
}

interface Job<T> {
  result: Promise<T>;
  controller: AbortController;
  listeners: Set<(message: string) => void>;
  latest: string | null;
  waiting: number;
}

export function createSharedWork<T>(
  work: (key: string, onProgress: (message: string) => void, signal: AbortSignal) => Promise<T>,
): SharedWork<T> {
  const jobs = new Map<string, Job<T>>();

  function start(key: string): Job<T> {
    const controller = new AbortController();
    const job: Job<T> = {
      controller,
      listeners: new Set(),
      latest: null,
      waiting: 0,
      // Deferred, so that the first caller listens before the work says anything.
      result: Promise.resolve()
        .then(() =>
          work(
            key,
            (message) => {
              job.latest = message;
              for (const listener of job.listeners) listener(message);
            },
            controller.signal,
          ),
        )
        .finally(() => jobs.delete(key)),
    };
    // Whoever still waits sees the failure; with nobody left it is of no interest.
    job.result.catch(() => {});
    jobs.set(key, job);
    return job;
  }

  return {
    async run(key, onProgress, signal) {
      signal.throwIfAborted();
      let job = jobs.get(key);
      while (job?.controller.signal.aborted === true) {
        await Promise.race([job.result.catch(() => {}), aborted(signal)]);
        job = jobs.get(key);
      }
      job ??= start(key);
      if (job.latest !== null) onProgress(job.latest);
      // A wrapper of its own, for one function may be passed by several callers.
      const listener = (message: string): void => onProgress(message);
      job.listeners.add(listener);
      job.waiting += 1;
      try {
        return await Promise.race([job.result, aborted(signal)]);
      } finally {
        job.listeners.delete(listener);
        job.waiting -= 1;
        if (job.waiting === 0) job.controller.abort(signal.reason);
      }
    },
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    else signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
