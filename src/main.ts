import type { Finding } from './core/ports/sandbox-provider.ts';
import { readConfig, type Config } from './main/config.ts';
import { createServer, type RunningServer } from './main/create-server.ts';
import { findings } from './main/findings.ts';

export type { RunningServer } from './main/create-server.ts';

/** Starts the server with the settings of the environment; `overrides` go before them. Throws `invalid_request` for a bad setting. */
export async function startServer(
  overrides: Partial<Config> = {},
  say: (line: string) => void = () => {},
): Promise<RunningServer> {
  return createServer({ ...readConfig({ ...process.env, ...dataDirOf(overrides) }), ...overrides }, say);
}

/** What this machine has, what was chosen, why, and how to get better. Changes nothing. */
export async function hostReport(): Promise<readonly Finding[]> {
  return findings(readConfig(process.env));
}

/** Other defaults (log, agents) lie below the data directory. */
function dataDirOf({ dataDir }: Partial<Config>): Record<string, string> {
  return dataDir === undefined ? {} : { BERTH_DATA_DIR: dataDir };
}
