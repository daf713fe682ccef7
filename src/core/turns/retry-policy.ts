import type { ErrorCode } from '../../protocol/errors.ts';

/** How a failure to start a turn is met. */
export interface RetryRule {
  /** All attempts, the first one included. */
  attempts: number;
  /** Doubles with each failure, up to `maxDelayMs`. */
  firstDelayMs: number;
  maxDelayMs: number;
}

/** `null`: the same call cannot succeed later. */
export type RetryTable = Readonly<Record<ErrorCode, RetryRule | null>>;

const passing: RetryRule = { attempts: 4, firstDelayMs: 500, maxDelayMs: 15_000 };
/** Limits of others are measured in minutes. */
const limited: RetryRule = { attempts: 6, firstDelayMs: 5_000, maxDelayMs: 120_000 };
/** It may have been chance; more often it is a defect that comes again. */
const doubtful: RetryRule = { attempts: 2, firstDelayMs: 1_000, maxDelayMs: 1_000 };

export const defaultRetries: RetryTable = {
  unavailable: passing,
  timeout: passing,
  sandbox_lost: passing,
  upstream_failed: passing,
  rate_limited: limited,
  agent_failed: doubtful,
  internal: doubtful,
  invalid_request: null,
  unauthorized: null,
  budget_reached: null,
  forbidden: null,
  not_found: null,
  method_not_allowed: null,
  conflict: null,
  payload_too_large: null,
  unsupported: null,
  path_not_allowed: null,
  cancelled: null,
  resource_exhausted: null,
  unknown_agent: null,
  unknown_template: null,
  repository_not_found: null,
  repository_refused: null,
  branch_not_found: null,
  quota_exceeded: null,
};

/** How long to wait before the next attempt, or `null` when there is none. `random` is in 0..1: half of the wait is jitter. */
export function retryDelayMs(rule: RetryRule | null, attempts: number, random: number): number | null {
  if (rule === null || attempts >= rule.attempts) return null;
  return backoffMs(rule, attempts, random);
}

export function backoffMs(
  { firstDelayMs, maxDelayMs }: Pick<RetryRule, 'firstDelayMs' | 'maxDelayMs'>,
  failures: number,
  random: number,
): number {
  return Math.round(Math.min(firstDelayMs * 2 ** (failures - 1), maxDelayMs) * (0.5 + random / 2));
}
