import { eventLoopUtilization } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

const lookEveryMs = 30_000;
/** A collection stops the server for some tens of milliseconds, so it waits until hardly anything goes on. */
const idleUtilization = 0.05;
/** Less is not worth it. */
const minGrowthBytes = 8 * 1024 ** 2;

/**
 * Gives back what the start and bursts of work have taken: V8 collects when it allocates, and an idle server does not.
 * The result ends it.
 */
export function giveMemoryBack(): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  let keptBytes = 0;
  let before = eventLoopUtilization();
  const timer = setInterval(look, lookEveryMs);
  timer.unref();

  function look(): void {
    const now = eventLoopUtilization();
    const { utilization } = eventLoopUtilization(now, before);
    before = now;
    if (utilization > idleUtilization || process.memoryUsage().rss - keptBytes < minGrowthBytes) return;
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    keptBytes = process.memoryUsage().rss;
  }

  return () => clearInterval(timer);
}
