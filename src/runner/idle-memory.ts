/** Long enough that a burst of requests is over, short against the minutes a sandbox idles. */
const idleAfterMs = 2_000;

/**
 * Gives memory back once the runner falls idle: V8 collects only when it allocates, and an idle runner
 * does not. Needs `--expose-gc` (see `runnerNodeFlags`); without it does nothing.
 * Returns what to call at each piece of work.
 */
export function createIdleMemory(): () => void {
  const collect = globalThis.gc;
  if (collect === undefined) return () => undefined;
  const timer = setTimeout(() => collect({ type: 'major', execution: 'sync', flavor: 'last-resort' }), idleAfterMs);
  timer.unref();
  return () => {
    timer.refresh();
  };
}
