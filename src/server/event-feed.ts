import type { Store } from '../core/ports/store.ts';
import type { SessionEvent } from '../protocol/events.ts';

const pageSize = 500;

/**
 * A session's events with `seq > from`: those stored, then new ones as they are committed, until the
 * signal fires or the session is deleted. The log is the only source, so there is no gap and no double
 * between old and new. `null` is a heartbeat: nothing came for a while.
 */
export async function* feedEvents(
  store: Store,
  sessionId: string,
  from: number,
  heartbeatMs: number,
  signal: AbortSignal,
): AsyncGenerator<SessionEvent | null> {
  let seq = from;
  let wake: () => void = () => {};
  let news = false;
  const unsubscribe = store.onEvents((id) => {
    if (id !== sessionId) return;
    news = true;
    wake();
  });
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    while (!signal.aborted) {
      news = false;
      const page = await store.read.events(sessionId, seq, pageSize);
      for (const event of page) {
        yield event;
        seq = event.seq;
      }
      if (page.length > 0 || news) continue;
      if ((await store.read.session(sessionId)) === null) return;
      const woken = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), heartbeatMs);
        wake = () => {
          clearTimeout(timer);
          resolve(true);
        };
        if (news || signal.aborted) wake();
      });
      if (!woken) yield null;
    }
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', onAbort);
  }
}
