import { BerthError } from '../protocol/errors.ts';

export interface RedisDescription {
  version: string;
  /** It drops keys when its memory is full. */
  evicts: boolean;
}

const timeoutMs = 5_000;

/** Throws `unavailable` when it cannot be reached. */
export async function describeRedis(url: string): Promise<RedisDescription> {
  const { Redis } = await import('ioredis');
  const redis = new Redis(url, { lazyConnect: true, connectTimeout: timeoutMs, retryStrategy: () => null });
  redis.on('error', () => {});
  try {
    await redis.connect();
    const info = await redis.info();
    const field = (name: string): string | null => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? null;
    return {
      version: field('redis_version') ?? 'unknown version',
      evicts: (field('maxmemory_policy') ?? 'noeviction') !== 'noeviction',
    };
  } catch (cause) {
    throw new BerthError('unavailable', 'Redis cannot be reached', { cause });
  } finally {
    redis.disconnect();
  }
}
