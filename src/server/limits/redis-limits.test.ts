import { expect, test } from 'vitest';
import { missingForRedis, startRedis } from '../../../test/fixtures/redis.ts';
import type { Logger } from '../../core/ports/logger.ts';
import { createRateLimiter } from './rate-limiter.ts';

const missing = missingForRedis();
if (missing !== null) console.warn(`skipped: redis-limits.test.ts: ${missing}`);

const logger: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => logger };
const limits = { signin: 3, public: 1, token: 1, user: 1, sessions: 1, prompts: 1 };

test.skipIf(missing !== null)('servers count together in Redis, and each by itself while it is away', async () => {
  const redis = await startRedis();
  const open = () => createRateLimiter({ limits, redisUrl: redis.url, logger });
  const [one, other] = [await open(), await open()];
  try {
    // Until it is connected each counts by itself.
    await expect.poll(async () => (await one.take('public', `${Math.random()}`)) ?? (await keys(redis.url)), { timeout: 10_000 }).toBeGreaterThan(0);
    await expect.poll(async () => (await other.take('token', `${Math.random()}`)) ?? (await keys(redis.url, 'token')), { timeout: 10_000 }).toBeGreaterThan(0);
    expect([await one.take('signin', 'a'), await other.take('signin', 'a'), await one.take('signin', 'a')]).toEqual([null, null, null]);
    expect(await other.take('signin', 'a')).toBeGreaterThan(1000);
    await redis.kill();
    const away = [];
    for (let n = 0; n < 4; n++) away.push((await one.take('signin', 'b')) === null);
    expect(away).toEqual([true, true, true, false]);
  } finally {
    one.close();
    other.close();
    await redis.destroy();
  }
});

async function keys(url: string, name = 'public'): Promise<number> {
  const { Redis } = await import('ioredis');
  const client = new Redis(url);
  try {
    return (await client.keys(`berth:limit:${name}:*`)).length;
  } finally {
    client.disconnect();
  }
}
