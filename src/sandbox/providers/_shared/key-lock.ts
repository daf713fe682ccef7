/** Runs what is given under one key one after the other, in order of asking; different keys run side by side. */
export interface KeyLock {
  run<T>(key: string, operation: () => Promise<T>): Promise<T>;
  /** Under all of the keys at once. */
  runAll<T>(keys: readonly string[], operation: () => Promise<T>): Promise<T>;
  /** Resolves when nothing runs or waits. */
  idle(): Promise<void>;
}

export function createKeyLock(): KeyLock {
  const tails = new Map<string, Promise<void>>();
  function run<T>(key: string, operation: () => Promise<T>): Promise<T> {
    const before = tails.get(key) ?? Promise.resolve();
    const result = before.then(operation);
    const tail = result.then(
      () => {},
      () => {},
    );
    tails.set(key, tail);
    void tail.then(() => {
      if (tails.get(key) === tail) tails.delete(key);
    });
    return result;
  }

  /** In one order, so that two that share keys never wait for each other. */
  function runAll<T>(keys: readonly string[], operation: () => Promise<T>): Promise<T> {
    const [first, ...rest] = [...new Set(keys)].toSorted();
    return first === undefined ? operation() : run(first, () => runAll(rest, operation));
  }

  return {
    run,
    runAll,
    async idle() {
      while (tails.size > 0) await Promise.all(tails.values());
    },
  };
}
