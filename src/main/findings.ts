import type { Finding } from '../core/ports/sandbox-provider.ts';
import { createHostReport } from '../sandbox/host/report.ts';
import type { Config } from './config.ts';

/** What this machine has, and the services that the settings name. Changes nothing. */
export async function findings(
  config: Pick<Config, 'dataDir' | 'runtime' | 'databaseUrl' | 'redisUrl'>,
): Promise<readonly Finding[]> {
  const { dataDir, runtime, databaseUrl, redisUrl } = config;
  const [host, ...services] = await Promise.all([
    createHostReport({ dataDir, ...(runtime === null ? {} : { runtime }) }),
    databaseUrl === null ? null : postgresFinding(databaseUrl),
    redisUrl === null ? null : redisFinding(redisUrl),
  ]);
  return [...host.findings, ...services.filter((finding) => finding !== null)];
}

async function postgresFinding(url: string): Promise<Finding> {
  const { describePostgres } = await import('../store/postgres/describe.ts');
  const subject = 'PostgreSQL';
  const choice = 'keeps sessions, turns and events (BERTH_DATABASE_URL)';
  try {
    return { subject, status: 'ok', detected: await describePostgres(url), choice, advice: null };
  } catch (error) {
    return {
      subject,
      status: 'missing',
      detected: messageOf(error),
      choice,
      advice: 'start it, or correct BERTH_DATABASE_URL',
    };
  }
}

async function redisFinding(url: string): Promise<Finding> {
  const { describeRedis } = await import('../queue/describe-redis.ts');
  const subject = 'Redis';
  const choice = 'tells servers of work (BERTH_REDIS_URL)';
  try {
    const { version, evicts } = await describeRedis(url);
    if (!evicts) return { subject, status: 'ok', detected: version, choice, advice: null };
    const advice = 'set maxmemory-policy to noeviction: an evicted announcement is found only by the next sweep';
    return { subject, status: 'degraded', detected: `${version}, which may evict keys`, choice, advice };
  } catch (error) {
    const advice = 'start it, or correct BERTH_REDIS_URL; until then turns start by the sweep of the database';
    return { subject, status: 'degraded', detected: messageOf(error), choice, advice };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'cannot be reached';
}
