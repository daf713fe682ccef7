import type { Dependencies } from './dependencies.ts';
import { recover } from './recovery.ts';
import { createSessionSandboxes, type SessionSandboxes } from './sandboxes/session-sandboxes.ts';
import { createSessionService, type SessionService } from './sessions/session-service.ts';
import { createDispatcher, type Dispatcher } from './turns/dispatcher.ts';

/** The running core of one server process. */
export interface Core {
  sessions: SessionService;
  /** Recovers what the last process left, then takes up its turns. */
  start(signal: AbortSignal): Promise<void>;
  /** Lets go of everything; sandboxes and their agents go on. */
  close(): Promise<void>;
}

const idleCheckMs = 30_000;

export function createCore(deps: Dependencies): Core {
  const closing = new AbortController();
  const sandboxes: SessionSandboxes = createSessionSandboxes(deps, {
    onTurnEnded: () => dispatcher.wake(),
    onSlotFreed: () => dispatcher.wake(),
  });
  const dispatcher: Dispatcher = createDispatcher(deps, sandboxes);
  let idleLoop: Promise<void> = Promise.resolve();

  async function stopIdleForever(): Promise<void> {
    while (!closing.signal.aborted) {
      await deps.clock.sleep(idleCheckMs, closing.signal).catch(() => {});
      if (closing.signal.aborted) return;
      await sandboxes
        .stopIdle()
        .catch((error: unknown) => deps.logger.error({ err: error }, 'idle sandboxes could not be stopped'));
    }
  }

  return {
    sessions: createSessionService(deps, sandboxes, dispatcher),
    async start(signal) {
      await recover(deps, sandboxes, signal);
      await dispatcher.resume();
      dispatcher.wake();
      idleLoop = stopIdleForever();
    },
    async close() {
      closing.abort();
      await dispatcher.close();
      await sandboxes.close();
      await idleLoop;
    },
  };
}
