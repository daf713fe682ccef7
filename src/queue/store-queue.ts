import type { Clock } from '../core/ports/clock.ts';
import type { Logger } from '../core/ports/logger.ts';
import { anyHost, type Queue } from '../core/ports/queue.ts';
import type { Store } from '../core/ports/store.ts';
import { createLooker, type Looker } from './looker.ts';

export interface StoreQueueOptions {
  store: Pick<Store, 'announceWork' | 'onWork'>;
  clock: Clock;
  logger: Logger;
}

/**
 * The queue with nothing to run: the store carries announcements between servers. Every server with room looks at each
 * one for any, and the store lets one of them have the turn; that is fine for a few servers.
 */
export function createStoreQueue({ store, clock, logger }: StoreQueueOptions): Queue {
  const closing = new AbortController();
  const timers = new Map<string, Promise<void>>();
  let looker: Looker | null = null;
  let hostId: string | null = null;
  let unsubscribe = (): void => {};

  function hear(to: string): void {
    if (to === anyHost || to === hostId) looker?.look();
  }

  function say(to: string): void {
    hear(to);
    if (to === hostId) return;
    store
      .announceWork(to)
      .catch((error: unknown) => logger.debug({ err: error }, 'work was not announced to other servers'));
  }

  return {
    name: 'store',
    announce(to, at) {
      if (closing.signal.aborted) return;
      const delayMs = at === undefined ? 0 : at.getTime() - clock.now().getTime();
      if (at === undefined || delayMs <= 0) return say(to);
      const key = `${to} ${at.getTime()}`;
      if (timers.has(key)) return;
      const timer = clock.sleep(delayMs, closing.signal).then(
        () => say(to),
        () => {},
      );
      timers.set(
        key,
        timer.finally(() => timers.delete(key)),
      );
    },
    async listen(id, look) {
      hostId = id;
      looker = createLooker(look, logger);
      unsubscribe = store.onWork(hear);
    },
    hasRoom() {},
    async close() {
      closing.abort();
      unsubscribe();
      await Promise.all(timers.values());
      await looker?.idle();
    },
  };
}
