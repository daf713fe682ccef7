import type { Config } from './config.ts';

/** What of the settings each driver is given. */
export function providerOptions(
  name: string,
  { agentsDir, runtime }: Pick<Config, 'agentsDir' | 'runtime'>,
): Record<string, unknown> {
  switch (name) {
    case 'oci':
      return { agentsDir, ...(runtime === null ? {} : { runtime }) };
    default:
      return { agentsDir };
  }
}
