import type { Priority } from '../../protocol/api.ts';
import type { OrderPolicy } from './queue-order.ts';
import { defaultRetries, type RetryTable } from './retry-policy.ts';

export interface QueueSettings {
  order: OrderPolicy;
  /** The priority of a user's turns that name none, by user. */
  userPriorities: Readonly<Record<string, Priority>>;
  /** Which failures are tried again, how often, how soon. */
  retries: RetryTable;
}

export const defaultQueueSettings: QueueSettings = {
  order: { ageingMs: 10 * 60_000, fairWindowMs: 10 * 60_000 },
  userPriorities: {},
  retries: defaultRetries,
};
