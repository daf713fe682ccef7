import { serverActor } from './audit/actor.ts';
import { createAuditService, type AuditService } from './audit/audit-service.ts';
import type { Dependencies } from './dependencies.ts';
import { createHostService, type HostService } from './hosts/host-service.ts';
import { recover, recoverFromAbsence } from './recovery.ts';
import { createPoolFigures } from './pool/pool-figures.ts';
import { createPoolService, type PoolService } from './pool/pool-service.ts';
import { keepsMirrors } from './pool/warm-plan.ts';
import { createWarmPool } from './pool/warm-pool.ts';
import { createQuotaService, type QuotaService } from './quotas/quota-service.ts';
import { createSessionNetworks, type SessionNetworks } from './sandboxes/session-network.ts';
import { createSessionSandboxes, type SessionSandboxes } from './sandboxes/session-sandboxes.ts';
import { createBudgetService, type BudgetService } from './budgets/budget-service.ts';
import { createBudgetAnswers } from './budgets/budget-answers.ts';
import { createAnswers } from './sessions/answers.ts';
import { createSessionService, finishDeletion, type SessionService } from './sessions/session-service.ts';
import { createSnapshotService, type SnapshotService } from './snapshots/snapshot-service.ts';
import { cancelTurns } from './turns/cancel-turns.ts';
import { createDispatcher, type Dispatcher } from './turns/dispatcher.ts';
import { createPositionAnnouncer } from './turns/position-announcer.ts';
import { createQueueService, type QueueService } from './turns/queue-service.ts';
import { createAccounts, type Accounts } from './users/accounts.ts';
import { createWebhookWorker } from './webhooks/webhook-worker.ts';

/** The running core of one server process. */
export interface Core {
  sessions: SessionService;
  snapshots: SnapshotService;
  queue: QueueService;
  hosts: HostService;
  budgets: BudgetService;
  quotas: QuotaService;
  pool: PoolService;
  audit: AuditService;
  accounts: Accounts;
  networks: SessionNetworks;
  /** Recovers what the last process left, then takes up its turns. */
  start(signal: AbortSignal): Promise<void>;
  /** This host was away and has registered anew: takes up what it still has. */
  rejoin(): Promise<void>;
  /** Lets go of everything; sandboxes and their agents go on. */
  close(): Promise<void>;
}

const idleCheckMs = 30_000;
/** How old a repository that is kept here may be; a session that claims it fetches what is newer. */
const refreshMs = 5 * 60_000;

export function createCore(deps: Dependencies): Core {
  const closing = new AbortController();
  const sandboxes: SessionSandboxes = createSessionSandboxes(deps, {
    onTurnEnded: () => dispatcher.wake(),
    onAnswersKept: () => answers.wake(),
    onSlotFreed() {
      dispatcher.wake();
      answers.wake();
      warm.wake();
    },
    onSlotTaken: () => warm.wake(),
    onEvicted: () => void (figures.evictions += 1),
    onFirstSandbox: (kind) => void (kind === 'warm' ? (figures.warmClaims += 1) : (figures.coldStarts += 1)),
  });
  const answers = createAnswers(deps, sandboxes);
  const budgets = createBudgetAnswers(deps, sandboxes, async (sessionId, turnId) => {
    await cancelTurns(deps, sandboxes, dispatcher, { sessionId, turnId, by: serverActor });
  });
  const figures = createPoolFigures();
  const warm = createWarmPool(deps);
  const positions = createPositionAnnouncer(deps);
  const dispatcher: Dispatcher = createDispatcher(deps, sandboxes, {
    changed() {
      positions.changed();
      warm.wake();
    },
  });
  const webhooks = createWebhookWorker({ ...deps, sender: deps.webhookSender }, deps.settings.webhooks);
  // What a webhook tells is in the log too, by the same transaction.
  const stopListening = deps.store.onEvents(() => webhooks.wake());
  let loops: Promise<unknown> = Promise.resolve();

  async function repeat(what: string, intervalMs: number, work: () => Promise<void>): Promise<void> {
    while (!closing.signal.aborted) {
      await deps.clock.sleep(intervalMs, closing.signal).catch(() => {});
      if (closing.signal.aborted) return;
      await work().catch((error: unknown) => deps.logger.error({ err: error }, `${what} failed`));
    }
  }

  return {
    sessions: createSessionService(deps, sandboxes, dispatcher, { answers, budgets }),
    snapshots: createSnapshotService(deps, sandboxes),
    queue: createQueueService(deps, dispatcher),
    budgets: createBudgetService(deps, () => budgets.wake()),
    quotas: createQuotaService(deps, () => {
      dispatcher.wake();
      dispatcher.announce(null);
    }),
    hosts: createHostService(deps, () => dispatcher.announce(null)),
    pool: createPoolService(deps, warm, figures),
    audit: createAuditService(deps),
    accounts: createAccounts(deps),
    networks: createSessionNetworks(deps, sandboxes),
    async start(signal) {
      await recover(deps, sandboxes, signal);
      await dispatcher.start();
      webhooks.wake();
      warm.wake();
      loops = Promise.all([
        repeat('putting idle sandboxes to rest', idleCheckMs, async () => {
          for (const expired of await sandboxes.restIdle()) await finishDeletion(deps, sandboxes, expired);
          // What fell idle by itself (an agent that asks) may give its slot to one that waits.
          dispatcher.wake();
          await answers.check();
          await budgets.check();
        }),
        repeat('looking at warm sandboxes', idleCheckMs, () => warm.check()),
        !keepsMirrors(deps.settings.warm)
          ? null
          : warm.refresh().then(() => repeat('fetching repositories ahead', refreshMs, () => warm.refresh())),
      ]);
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
      await answers.close();
      await budgets.close();
      await warm.close();
      await sandboxes.close();
      await loops;
    },
  };
}
