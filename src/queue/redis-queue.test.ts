import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { queueSuite } from '../../test/conformance/queue.ts';
import { missingForRedis, startRedis, type RedisServer } from '../../test/fixtures/redis.ts';
import type { Logger } from '../core/ports/logger.ts';
import { anyHost, type Queue } from '../core/ports/queue.ts';
import { createRedisQueue } from './redis-queue.ts';

const missing = missingForRedis();
if (missing !== null) console.warn(`skipped: redis-queue.test.ts: ${missing}`);

const logger: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => logger };
const clock = { now: () => new Date(), sleep: () => Promise.resolve() };
const patience = { timeout: 15_000, interval: 10 };

describe.skipIf(missing !== null)('on a real Redis', () => {
  queueSuite('redis', async () => {
    const redis = await startRedis();
    return {
      servers: 'many',
      open: async () => createRedisQueue({ url: redis.url, clock, logger }),
      async outage(meanwhile) {
        await redis.kill();
        await meanwhile();
        await redis.start();
      },
      destroy: () => redis.destroy(),
    };
  });

  describe('redis', () => {
    let redis: RedisServer;
    let queues: Queue[] = [];

    beforeAll(async () => {
      redis = await startRedis();
    });
    afterAll(() => redis?.destroy());
    afterEach(async () => {
      await Promise.all(queues.map((queue) => queue.close()));
      queues = [];
    });

    async function serve(hostId: string, look: () => Promise<boolean>): Promise<Queue> {
      const queue = createRedisQueue({ url: redis.url, clock, logger, prefix: expect.getState().currentTestName! });
      queues.push(queue);
      let connected = false;
      await queue.listen(hostId, async () => (connected ? look() : (connected = true)));
      await expect.poll(() => (connected || queue.announce(hostId), connected), patience).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, 150));
      return queue;
    }

    test('of several servers with room exactly one looks', async () => {
      const looks: string[] = [];
      const [a] = [
        await serve('a', async () => (looks.push('a'), true)),
        await serve('b', async () => (looks.push('b'), true)),
        await serve('c', async () => (looks.push('c'), true)),
      ];
      for (let n = 1; n <= 10; n += 1) {
        a.announce(anyHost);
        await expect.poll(() => looks.length, patience).toBe(n);
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(looks).toHaveLength(10);
    });

    test('with every server full the work waits, and goes to the first that has room', async () => {
      const looks: string[] = [];
      let room = false;
      const a = await serve('a', async () => (looks.push('a'), false));
      const b = await serve('b', async () => (looks.push('b'), room));
      a.announce(anyHost);
      await expect.poll(() => looks.toSorted(), patience).toEqual(['a', 'b']);
      // Both were told and stopped; nothing goes round between them.
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(looks).toHaveLength(2);
      room = true;
      b.hasRoom();
      await expect.poll(() => looks.slice(2), patience).toEqual(['b']);
    });

    test('what an emptied Redis forgot is announced anew', async () => {
      let looks = 0;
      const queue = await serve('a', async () => (looks++, true));
      await redis.flush();
      await expect.poll(() => (queue.announce(anyHost), looks), patience).toBeGreaterThan(0);
    });
  });
});
