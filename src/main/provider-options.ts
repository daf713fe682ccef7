import type { Config } from './config.ts';

/** What of the settings each driver is given. */
export function providerOptions(
  name: string,
  { agentsDir, runtime, docker, firecracker, fullNetwork }: Pick<Config, 'agentsDir' | 'runtime' | 'docker' | 'firecracker' | 'fullNetwork'>,
): Record<string, unknown> {
  switch (name) {
    case 'oci':
      return { agentsDir, fullNetwork, ...(runtime === null ? {} : { runtime }) };
    case 'docker':
      return { agentsDir, ...docker };
    case 'firecracker':
      return { agentsDir, ...firecracker };
    default:
      return { agentsDir };
  }
}
