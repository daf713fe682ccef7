import type { Logger } from '../core/ports/logger.ts';
import type { SandboxProvider } from '../core/ports/sandbox-provider.ts';
import { BerthError } from '../protocol/errors.ts';

/** What every driver is given besides its own options. */
export interface DriverContext {
  /** Root-owned directory for everything that is kept. */
  dataDir: string;
  logger: Logger;
}

export type DriverFactory = (context: DriverContext, options: Readonly<Record<string, unknown>>) => SandboxProvider;

/** One line per driver; its module is loaded when it is asked for. */
const drivers: Readonly<Record<string, () => Promise<DriverFactory>>> = {
  docker: async () => (await import('./providers/docker/docker.ts')).dockerDriver,
  firecracker: async () => (await import('./providers/firecracker/firecracker.ts')).firecrackerDriver,
  oci: async () => (await import('./providers/oci/oci.ts')).ociDriver,
  qemu: async () => (await import('./providers/qemu/qemu.ts')).qemuDriver,
};

export const providerNames: readonly string[] = Object.keys(drivers);

/** Throws `invalid_request` for a name that is not in the registry. Does no I/O beyond loading the module. */
export async function loadProvider(
  name: string,
  context: DriverContext,
  options: Readonly<Record<string, unknown>> = {},
): Promise<SandboxProvider> {
  const load = Object.hasOwn(drivers, name) ? drivers[name] : undefined;
  if (load === undefined) {
    throw new BerthError(
      'invalid_request',
      `there is no sandbox provider "${name}"; there are: ${providerNames.join(', ')}`,
      {
        field: 'provider',
      },
    );
  }
  return (await load())(context, options);
}
