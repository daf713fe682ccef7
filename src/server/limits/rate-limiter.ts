import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import type { Logger } from '../../core/ports/logger.ts';
import type { RateLimitName, RateLimits } from './rate-limits.ts';

/** Counts calls. */
export interface RateLimiter {
  /** Counts one. `null`: it may go on; else the milliseconds until one may. */
  take(name: RateLimitName, key: string): Promise<number | null>;
  /** Closes the connection that it has. */
  close(): void;
}

export interface RateLimiterOptions {
  limits: RateLimits;
  /** Where the servers of an installation count together; `null`: each by itself. A secret. */
  redisUrl: string | null;
  logger: Logger;
  /** Before every key, so that several installations can share a Redis. */
  prefix?: string;
}

const seconds = 60;
/** One that waits longer than this for Redis is counted here instead. */
const commandTimeoutMs = 250;

/** In memory, or in Redis; while that is away each server counts by itself, so that nothing goes uncounted. */
export async function createRateLimiter({ limits, redisUrl, logger, prefix = 'berth' }: RateLimiterOptions): Promise<RateLimiter> {
  const redis = redisUrl === null ? null : await connect(redisUrl, logger);
  const limiters = new Map<string, RateLimiterAbstract>();
  for (const [name, points] of Object.entries(limits)) {
    const options = { points, duration: seconds, keyPrefix: `${prefix}:limit:${name}` };
    const memory = new RateLimiterMemory(options);
    limiters.set(
      name,
      redis === null
        ? memory
        : new RateLimiterRedis({ ...options, storeClient: redis, insuranceLimiter: memory, rejectIfRedisNotReady: true }),
    );
  }

  return {
    async take(name, key) {
      try {
        await limiters.get(name)?.consume(key);
        return null;
      } catch (refused) {
        if (!(refused instanceof RateLimiterRes)) throw refused;
        return Math.max(1, refused.msBeforeNext);
      }
    },
    close: () => redis?.disconnect(),
  };
}

/** Loaded here: a server without Redis does not pay for it. */
async function connect(url: string, logger: Logger): Promise<Redis> {
  const { Redis: Client } = await import('ioredis');
  const redis = new Client(url, {
    connectionName: 'berth-limits',
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: commandTimeoutMs,
  });
  redis.on('error', (error) => logger.debug({ err: error }, 'Redis cannot be reached; calls are counted here'));
  return redis;
}
