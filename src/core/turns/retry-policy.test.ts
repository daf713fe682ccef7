import { expect, test } from 'vitest';
import { errorTable, type ErrorCode } from '../../protocol/errors.ts';
import { defaultRetries, retryDelayMs } from './retry-policy.ts';

test('what the error table calls retryable is tried again', () => {
  for (const [code, { retryable }] of Object.entries(errorTable)) {
    if (retryable) expect([code, defaultRetries[code as ErrorCode]]).not.toEqual([code, null]);
  }
});

test('waits double up to the most, half of each is jitter, and then there is none', () => {
  const rule = { attempts: 5, firstDelayMs: 100, maxDelayMs: 350 };
  expect([1, 2, 3, 4, 5].map((attempts) => retryDelayMs(rule, attempts, 1))).toEqual([100, 200, 350, 350, null]);
  expect([1, 2, 3, 4, 5].map((attempts) => retryDelayMs(rule, attempts, 0))).toEqual([50, 100, 175, 175, null]);
  expect(retryDelayMs(null, 1, 0)).toBeNull();
});
