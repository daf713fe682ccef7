import { newId } from '../../protocol/ids.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { MeteredCall, ModelCallUsage, ModelMeter } from '../ports/model-meter.ts';
import type { ModelCaller, Store } from '../ports/store.ts';
import type { BudgetGate } from '../budgets/budget-gate.ts';
import type { PriceTable } from './price-table.ts';

export interface UsageMeter extends ModelMeter {
  /** Resolves when every call that ended is stored, or given up. */
  close(): Promise<void>;
}

/** A database that is restarted is back sooner. */
const storeAttempts = 8;
const firstRetryMs = 250;

/**
 * Counts model calls into the store, those of a session one after the other, so that a call whose commit was in doubt
 * can be tried again without being counted twice. What is promised: a call whose answer has ended for its sandbox is
 * stored once; a killed server loses the calls that were in flight then, and never counts one twice.
 */
export function createUsageMeter(deps: { store: Store; clock: Clock; logger: Logger; prices: PriceTable; gate?: BudgetGate }): UsageMeter {
  const { store, clock, logger, prices, gate } = deps;
  const tails = new Map<string, Promise<void>>();

  async function write(sessionId: string, caller: ModelCaller, callId: string, usage: ModelCallUsage): Promise<void> {
    const record = {
      ...usage,
      ...caller,
      callId,
      sessionId,
      at: clock.now().toISOString(),
      costNanos: prices.costNanos(usage),
    };
    for (let attempt = 1; ; attempt++) {
      try {
        return await store.transaction((tx) => tx.addModelUsage(record));
      } catch (error) {
        if (attempt === storeAttempts) {
          logger.error({ err: error, lost: record }, 'what a model call used could not be stored');
          return;
        }
        await clock.sleep(firstRetryMs * 2 ** (attempt - 1));
      }
    }
  }

  return {
    async begin(sessionId, signal): Promise<MeteredCall> {
      // What ended before counts before the limit is looked at.
      await tails.get(sessionId);
      await gate?.pass(sessionId, signal);
      const caller = await store.read.modelCaller(sessionId);
      if (caller === null) throw new BerthError('not_found', 'the session is being deleted');
      const callId = newId('call');
      let ended: Promise<void> | null = null;
      return {
        end(usage) {
          if (ended !== null) return ended;
          const tail = (tails.get(sessionId) ?? Promise.resolve()).then(() => write(sessionId, caller, callId, usage));
          tails.set(sessionId, tail);
          ended = tail.finally(() => {
            if (tails.get(sessionId) === tail) tails.delete(sessionId);
          });
          return ended;
        },
      };
    },
    async close() {
      await Promise.all(tails.values());
    },
  };
}
