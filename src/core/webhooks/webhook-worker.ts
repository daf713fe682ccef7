import { asBerthError } from '../../protocol/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store, WebhookRecord } from '../ports/store.ts';
import type { WebhookSender } from '../ports/webhook-sender.ts';
import { backoffMs } from '../turns/retry-policy.ts';
import { signWebhook } from './sign-webhook.ts';

/** Empties the outbox: at least once each, until a receiver takes it or the attempts are used up. */
export interface WebhookWorker {
  /** Something may be in the outbox. Cheap. */
  wake(): void;
  close(): Promise<void>;
}

export interface WebhookSettings {
  /** `whsec_` and the key in base64. */
  secret: string;
  attempts: number;
  firstDelayMs: number;
  maxDelayMs: number;
  timeoutMs: number;
}

/** Ten attempts over a day: a receiver may be down for a night. */
export const defaultWebhookSettings = {
  attempts: 10,
  firstDelayMs: 10_000,
  maxDelayMs: 6 * 60 * 60_000,
  timeoutMs: 15_000,
} as const satisfies Omit<WebhookSettings, 'secret'>;

/** Sent beside each other. */
const batchSize = 8;
/** What another server took and did not finish is taken again after this much more than it may take. */
const leaseMarginMs = 30_000;
/** Another server may have put something in. */
const pollMs = 60_000;
const afterErrorMs = 5_000;
/** "Do not send me this": the one refusal that is final. */
const gone = 410;

export function createWebhookWorker(
  deps: { store: Store; sender: WebhookSender; clock: Clock; logger: Logger },
  settings: WebhookSettings,
): WebhookWorker {
  const { store, sender, clock, logger } = deps;
  const closing = new AbortController();
  let sleeping = new AbortController();
  let pending = false;
  let running: Promise<void> | null = null;

  async function work(): Promise<void> {
    while (!closing.signal.aborted) {
      pending = false;
      let waitMs: number;
      try {
        const isDue = (await store.read.dueWebhooks(clock.now().toISOString(), 1)).length > 0;
        const taken = isDue ? await take() : [];
        await Promise.all(taken.map(deliver));
        if (taken.length > 0) continue;
        const nextAt = await store.read.nextWebhookAt();
        waitMs = nextAt === null ? pollMs : Math.min(pollMs, Math.max(1, Date.parse(nextAt) - clock.now().getTime()));
      } catch (error) {
        if (closing.signal.aborted) return;
        logger.error({ err: error }, 'the outbox could not be worked on');
        waitMs = afterErrorMs;
      }
      if (pending) continue;
      sleeping = new AbortController();
      await clock.sleep(waitMs, AbortSignal.any([sleeping.signal, closing.signal])).catch(() => {});
    }
  }

  /** Takes what is due for this server, counting the attempt before it is made: a crash in it is one too. */
  function take(): Promise<WebhookRecord[]> {
    return store.transaction(async (tx) => {
      const now = clock.now();
      const leaseUntil = new Date(now.getTime() + settings.timeoutMs + leaseMarginMs).toISOString();
      const due = await tx.dueWebhooks(now.toISOString(), batchSize);
      for (const webhook of due) {
        await tx.updateWebhook(webhook.id, { attempts: webhook.attempts + 1, nextAttemptAt: leaseUntil });
      }
      return due.map((webhook) => ({ ...webhook, attempts: webhook.attempts + 1 }));
    });
  }

  async function deliver(webhook: WebhookRecord): Promise<void> {
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(settings.timeoutMs)]);
    const headers = signWebhook(settings.secret, webhook.id, clock.now(), webhook.payload);
    let failure: string;
    let final = false;
    try {
      const { status } = await sender.send({ url: webhook.url, headers, body: webhook.payload }, signal);
      if (status >= 200 && status < 300) return await settle(webhook, { state: 'delivered', lastError: null });
      failure = `HTTP ${status}`;
      final = status === gone;
    } catch (cause) {
      // A closing server cut it short: the lease runs out and the next one sends it.
      if (closing.signal.aborted) return;
      const error = asBerthError(cause);
      failure = error.message;
      final = error.code === 'forbidden' || error.code === 'invalid_request';
    }
    logger.warn({ webhookId: webhook.id, attempts: webhook.attempts, failure }, 'webhook was not delivered');
    if (final || webhook.attempts >= settings.attempts) {
      return settle(webhook, { state: 'dead', lastError: failure });
    }
    const delayMs = backoffMs(settings, webhook.attempts, Math.random());
    const nextAttemptAt = new Date(clock.now().getTime() + delayMs).toISOString();
    await settle(webhook, { lastError: failure, nextAttemptAt });
  }

  async function settle(
    { id }: WebhookRecord,
    change: Partial<Pick<WebhookRecord, 'state' | 'lastError' | 'nextAttemptAt'>>,
  ): Promise<void> {
    const deliveredAt = change.state === 'delivered' ? { deliveredAt: clock.now().toISOString() } : {};
    await store.transaction((tx) => tx.updateWebhook(id, { ...change, ...deliveredAt }));
  }

  return {
    wake() {
      pending = true;
      sleeping.abort();
      running ??= work();
    },
    async close() {
      closing.abort();
      await running;
    },
  };
}
