import { expect, test } from 'vitest';
import { firecrackerDriver } from './firecracker.ts';
import { cardLimiters, driveLimiter } from './rate-limits.ts';

test('a bound is a second of tokens; without bounds there is no limiter', () => {
  expect([driveLimiter({}), cardLimiters({})]).toEqual([{}, {}]);
  expect(driveLimiter({ operationsPerSecond: 100 })).toEqual({ rate_limiter: { ops: { size: 100, refill_time: 1000 } } });
  expect(driveLimiter({ bytesPerSecond: 2 ** 20 })).toEqual({ rate_limiter: { bandwidth: { size: 2 ** 20, refill_time: 1000 } } });
  const limiter = { bandwidth: { size: 2 ** 20, refill_time: 1000 }, ops: { size: 1000, refill_time: 1000 } };
  expect(cardLimiters({ bytesPerSecond: 2 ** 20, packetsPerSecond: 1000 })).toEqual({ rx_rate_limiter: limiter, tx_rate_limiter: limiter });
});

test.each([
  [{ driveLimits: { bytesPerSecond: 1 } }, 'driveLimits.bytesPerSecond'],
  [{ driveLimits: { operationsPerSecond: 0.5 } }, 'driveLimits.operationsPerSecond'],
  [{ cardLimits: { bytesPerSecond: 1 } }, 'cardLimits.bytesPerSecond'],
  [{ fullNetwork: { namespace: 'relative' } }, 'fullNetwork.namespace'],
  [{ jailer: 'relative' }, 'jailer'],
])('a bad option is refused with its name: %j', (options, field) => {
  const context = { dataDir: '/nowhere' } as Parameters<typeof firecrackerDriver>[0];
  expect(() => firecrackerDriver(context, options)).toThrow(expect.objectContaining({ code: 'invalid_request', field }));
});
