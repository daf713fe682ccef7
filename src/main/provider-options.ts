import type { Config } from './config.ts';

/** What of the settings each driver is given. */
export function providerOptions(
  name: string,
  { agentsDir, runtime, docker, fullNetwork }: Pick<Config, 'agentsDir' | 'runtime' | 'docker' | 'fullNetwork'>,
): Record<string, unknown> {
  switch (name) {
    case 'oci':
      return { agentsDir, fullNetwork, ...(runtime === null ? {} : { runtime }) };
    case 'docker':
      return { agentsDir, ...docker };
    default:
      return { agentsDir };
  }
}
