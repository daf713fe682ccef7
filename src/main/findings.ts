import type { Logger } from '../core/ports/logger.ts';
import type { Finding } from '../core/ports/sandbox-provider.ts';
import { templatesFinding } from '../sandbox/templates/findings.ts';
import { loadProvider } from '../sandbox/registry.ts';
import type { Config } from './config.ts';

/** What this machine has, and the services that the settings name. Changes nothing. */
export async function findings(
  config: Pick<Config, 'providers' | 'dataDir' | 'agentsDir' | 'providerOptions' | 'databaseUrl' | 'redisUrl'>,
): Promise<readonly Finding[]> {
  const { databaseUrl, redisUrl } = config;
  const [ofProviders, templates, ...services] = await Promise.all([
    Promise.all(config.providers.map((name) => providerFindings(name, config))),
    templatesFinding(),
    databaseUrl === null ? null : postgresFinding(databaseUrl),
    redisUrl === null ? null : redisFinding(redisUrl),
  ]);
  return [...ofProviders.flat(), templates, ...services.filter((finding) => finding !== null)];
}

const probeTimeoutMs = 30_000;
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

/** What a provider says of this machine; of several, whose word it is. */
async function providerFindings(name: string, config: Parameters<typeof findings>[0]): Promise<Finding[]> {
  const options = { agentsDir: config.agentsDir, ...config.providerOptions[name] };
  const provider = await loadProvider(name, { dataDir: config.dataDir, logger: silent }, options);
  try {
    const report = await provider.probe({ signal: AbortSignal.timeout(probeTimeoutMs) });
    const isOnly = config.providers.length === 1;
    return report.findings.map((finding) => ({ ...finding, subject: isOnly ? finding.subject : `${name}: ${finding.subject}` }));
  } finally {
    await provider.close();
  }
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
