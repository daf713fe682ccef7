import { collectGarbage } from './collect-garbage.ts';

/** Long enough that a burst of requests is over, short against the minutes a sandbox idles. */
const idleAfterMs = 2_000;

/**
 * Gives memory back once the runner falls idle: V8 collects only when it allocates, and an idle runner does not.
 * Returns what to call at each piece of work.
 */
export function createIdleMemory(): () => void {
  const timer = setTimeout(collectGarbage, idleAfterMs, 'major');
  timer.unref();
  return () => {
    timer.refresh();
  };
}
