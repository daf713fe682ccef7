import type { Clock } from '../core/ports/clock.ts';
import type { IncomingDelivery } from '../core/ports/forge-app.ts';
import type { Logger } from '../core/ports/logger.ts';
import type { SecretVault } from '../core/ports/secrets.ts';
import { appSecrets } from './app-secrets.ts';
import type { DeliveryRecord, Store } from '../core/ports/store.ts';
import { asBerthError, BerthError } from '../protocol/errors.ts';
import { isHandled, type Outcome } from './handle-delivery.ts';
import { isSigned } from './signature.ts';

/**
 * Webhook deliveries, from their arrival to their end.
 *
 * - `received`: signed and stored; GitHub has its answer. Worked on in order of arrival, one at a time.
 *   A passing failure leaves it here for a later attempt, a crash for the next start.
 * - `done`, `ignored`: ended. The payload is dropped, the id stays, so that a duplicate is known.
 * - `failed`: ended after a lasting failure or too many attempts; keeps its payload. GitHub's "Redeliver"
 *   makes it `received` again.
 */
export interface Deliveries {
  receive(delivery: IncomingDelivery): Promise<'stored' | 'duplicate'>;
  /** Goes on with what an earlier process left. */
  start(handle: Handle): void;
  /** Resolves when nothing is worked on now; for tests and a clean end. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

type Handle = (delivery: DeliveryRecord, signal: AbortSignal) => Promise<Outcome>;

const attempts = 8;
const firstRetryMs = 2_000;
const lastRetryMs = 10 * 60_000;
/** For all the questions that one delivery asks of GitHub. */
const handleTimeoutMs = 2 * 60_000;

const idPattern = /^[0-9A-Za-z-]{1,100}$/;
const eventPattern = /^[a-z_]{1,100}$/;

export interface DeliveriesOptions {
  store: Store;
  secrets: SecretVault;
  clock: Clock;
  logger: Logger;
}

export function createDeliveries({ store, secrets, clock, logger }: DeliveriesOptions): Deliveries {
  const closing = new AbortController();
  /** Ids whose next attempt is not due yet. */
  const resting = new Set<string>();
  let handle: Handle | null = null;
  let working: Promise<void> | null = null;
  let again = false;

  function wake(): void {
    if (handle === null || closing.signal.aborted) return;
    if (working !== null) {
      again = true;
      return;
    }
    working = workAll(handle)
      .catch((error: unknown) => logger.error({ err: error }, 'webhook deliveries could not be worked on'))
      .finally(() => {
        working = null;
        if (again) wake();
      });
  }

  async function workAll(use: Handle): Promise<void> {
    do {
      again = false;
      for (const delivery of await store.read.deliveriesInState('received')) {
        if (closing.signal.aborted) return;
        if (!resting.has(delivery.id)) await work(use, delivery);
      }
    } while (again);
  }

  async function work(use: Handle, delivery: DeliveryRecord): Promise<void> {
    // Counted before, so that one that ends the process does not do so for ever.
    const attempt = delivery.attempts + 1;
    if (attempt > attempts) {
      await end(delivery, { state: 'failed', reason: 'the server ended while working on it, too many times' });
      return;
    }
    await store.transaction((tx) => tx.updateDelivery(delivery.id, { attempts: attempt }));
    try {
      const outcome = await use(delivery, AbortSignal.any([closing.signal, AbortSignal.timeout(handleTimeoutMs)]));
      await end(delivery, { ...outcome, payload: null });
    } catch (cause) {
      if (closing.signal.aborted) {
        // An orderly end is no failed attempt.
        await store.transaction((tx) => tx.updateDelivery(delivery.id, { attempts: delivery.attempts }));
        return;
      }
      const error = asBerthError(cause);
      const fields = { deliveryId: delivery.id, event: delivery.event, attempt, code: error.code, err: cause };
      if (error.retryable && attempt < attempts) {
        logger.warn(fields, 'webhook delivery failed for now');
        rest(delivery.id, restMs(error, attempt));
        return;
      }
      logger.error(fields, 'webhook delivery failed');
      await end(delivery, { state: 'failed', reason: `${error.code}: ${error.message}` });
    }
  }

  async function end(delivery: DeliveryRecord, change: Partial<Omit<DeliveryRecord, 'id'>>): Promise<void> {
    await store.transaction((tx) => tx.updateDelivery(delivery.id, change));
    logger.info({ deliveryId: delivery.id, event: delivery.event, state: change.state, reason: change.reason }, 'webhook delivery ended');
  }

  function rest(id: string, delayMs: number): void {
    resting.add(id);
    void clock
      .sleep(delayMs, closing.signal)
      .then(() => {
        resting.delete(id);
        wake();
      })
      .catch(() => resting.delete(id));
  }

  return {
    async receive({ id, event, signature, body }) {
      const app = await store.read.githubApp();
      if (app === null) throw new BerthError('not_found', 'no GitHub App is registered');
      if (!isSigned(await secrets.open(app.sealedWebhookSecret, appSecrets.webhookSecret), body, signature)) {
        throw new BerthError('unauthorized', 'the signature is missing or wrong', { field: 'X-Hub-Signature-256' });
      }
      if (!idPattern.test(id)) throw new BerthError('invalid_request', 'not the id of a delivery', { field: 'X-GitHub-Delivery' });
      if (!eventPattern.test(event)) throw new BerthError('invalid_request', 'not the name of an event', { field: 'X-GitHub-Event' });
      const payload = parseJson(body);
      const handled = isHandled(event, payload);
      const record: DeliveryRecord = {
        id,
        event,
        state: handled ? 'received' : 'ignored',
        reason: handled ? null : 'this event is not acted on',
        payload: handled ? payload : null,
        receivedAt: clock.now().toISOString(),
        attempts: 0,
      };
      const isNew = await store.transaction(async (tx) => {
        if (await tx.insertDelivery(record)) return true;
        if ((await tx.delivery(id))?.state !== 'failed') return false;
        await tx.updateDelivery(id, record);
        return true;
      });
      wake();
      return isNew ? 'stored' : 'duplicate';
    },
    start(use) {
      handle = use;
      wake();
    },
    async settle() {
      while (working !== null) await working;
    },
    async close() {
      closing.abort();
      await working;
    },
  };
}

function restMs(error: BerthError, attempt: number): number {
  const asked = Number(error.context['retryAfterMs'] ?? 0);
  return Math.min(Math.max(firstRetryMs * 4 ** (attempt - 1), asked), Math.max(lastRetryMs, asked));
}

function parseJson(body: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below, in the same words.
  }
  throw new BerthError('invalid_request', 'the body is not a JSON object; the webhook must send application/json', { field: 'body' });
}
