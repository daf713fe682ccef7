import { expect, test } from 'vitest';
import { firecrackerDriver } from './firecracker.ts';
import { rateLimiter } from './rate-limits.ts';

test('a bound is a second of tokens; without bounds there is no limiter', () => {
  expect(rateLimiter({})).toEqual({});
  expect(rateLimiter({ operationsPerSecond: 100 })).toEqual({ rate_limiter: { ops: { size: 100, refill_time: 1000 } } });
  expect(rateLimiter({ bytesPerSecond: 2 ** 20 })).toEqual({ rate_limiter: { bandwidth: { size: 2 ** 20, refill_time: 1000 } } });
});

test.each([
  [{ driveLimits: { bytesPerSecond: 1 } }, 'driveLimits.bytesPerSecond'],
  [{ driveLimits: { operationsPerSecond: 0.5 } }, 'driveLimits.operationsPerSecond'],
  [{ jailer: 'relative' }, 'jailer'],
])('a bad option is refused with its name: %j', (options, field) => {
  const context = { dataDir: '/nowhere' } as Parameters<typeof firecrackerDriver>[0];
  expect(() => firecrackerDriver(context, options)).toThrow(expect.objectContaining({ code: 'invalid_request', field }));
});
