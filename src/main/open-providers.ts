import type { Logger } from '../core/ports/logger.ts';
import type { SandboxProvider } from '../core/ports/sandbox-provider.ts';
import { createProviders, type Providers } from '../core/providers.ts';
import { BerthError } from '../protocol/errors.ts';
import { guarded } from '../sandbox/guarded.ts';
import { loadProvider } from '../sandbox/registry.ts';
import type { Config } from './config.ts';

/**
 * Opens every provider that the settings name. One that cannot be used stops the start: its sandboxes would be taken for
 * lost, and whoever named it wants it. `opened` is told of each before it is used.
 */
export async function openProviders(
  config: Pick<Config, 'providers' | 'dataDir' | 'agentsDir' | 'providerOptions'>,
  logger: Logger,
  opened: (provider: SandboxProvider) => void,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Providers> {
  const providers: SandboxProvider[] = [];
  say('checking what this machine has');
  for (const name of config.providers) {
    const options = { agentsDir: config.agentsDir, ...config.providerOptions[name] };
    const driver = await loadProvider(name, { dataDir: config.dataDir, logger }, options);
    const provider = guarded(driver, { logger });
    opened(provider);
    const report = await provider.probe({ signal });
    if (!report.usable) {
      const missing = report.findings.filter((finding) => finding.status === 'missing');
      const why = missing.map((finding) => `${finding.subject}: ${finding.advice ?? finding.detected}`).join('; ');
      throw new BerthError('unavailable', `this machine cannot run sandboxes of the provider ${name} yet: ${why}`);
    }
    providers.push(provider);
  }
  say('preparing storage, runner and template');
  // The first list takes what belongs to the data directory: its lock, its storage.
  for (const provider of providers) await provider.list({ signal });
  return createProviders(providers);
}
