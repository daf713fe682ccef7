import type { Dependencies } from './dependencies.ts';
import { createHostService, type HostService } from './hosts/host-service.ts';
import { recover, recoverFromAbsence } from './recovery.ts';
import { createSessionSandboxes, type SessionSandboxes } from './sandboxes/session-sandboxes.ts';
import { createSessionService, finishDeletion, type SessionService } from './sessions/session-service.ts';
import { createDispatcher, type Dispatcher } from './turns/dispatcher.ts';
import { createPositionAnnouncer } from './turns/position-announcer.ts';
import { createQueueService, type QueueService } from './turns/queue-service.ts';
import { createWebhookWorker } from './webhooks/webhook-worker.ts';

/** The running core of one server process. */
export interface Core {
  sessions: SessionService;
  queue: QueueService;
  hosts: HostService;
  /** Recovers what the last process left, then takes up its turns. */
  start(signal: AbortSignal): Promise<void>;
  /** This host was away and has registered anew: takes up what it still has. */
  rejoin(): Promise<void>;
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
  const positions = createPositionAnnouncer(deps);
  const dispatcher: Dispatcher = createDispatcher(deps, sandboxes, positions);
  const webhooks = createWebhookWorker({ ...deps, sender: deps.webhookSender }, deps.settings.webhooks);
  // What a webhook tells is in the log too, by the same transaction.
  const stopListening = deps.store.onEvents(() => webhooks.wake());
  let idleLoop: Promise<void> = Promise.resolve();

  async function restIdleForever(): Promise<void> {
    while (!closing.signal.aborted) {
      await deps.clock.sleep(idleCheckMs, closing.signal).catch(() => {});
      if (closing.signal.aborted) return;
      try {
        for (const expired of await sandboxes.restIdle()) await finishDeletion(deps, sandboxes, expired);
      } catch (error) {
        deps.logger.error({ err: error }, 'idle sandboxes could not be put to rest');
      }
    }
  }

  return {
    sessions: createSessionService(deps, sandboxes, dispatcher),
    queue: createQueueService(deps, dispatcher),
    hosts: createHostService(deps, () => dispatcher.announce(null)),
    async start(signal) {
      await recover(deps, sandboxes, signal);
      await dispatcher.start();
      webhooks.wake();
      idleLoop = restIdleForever();
    },
    async rejoin() {
      await recoverFromAbsence(deps, closing.signal);
      dispatcher.takeUp();
    },
    async close() {
      closing.abort();
      stopListening();
      await webhooks.close();
      await positions.close();
      await dispatcher.close();
      await sandboxes.close();
      await idleLoop;
    },
  };
}
