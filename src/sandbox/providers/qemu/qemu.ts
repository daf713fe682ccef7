import { z } from 'zod';
import type { SandboxProvider } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { fullNetworkSettings, type FullNetworkSettings } from '../../full-network/host-check.ts';
import { createMicrovmProvider } from '../../microvm/driver/provider.ts';
import type { DriverFactory } from '../../registry.ts';
import { placePackagedBundle, type PlaceBundle } from '../../runner-layer/bundle.ts';
import { driverName, openQemu } from './installation.ts';
import { createMachines } from './machines.ts';
import { createReport } from './report.ts';

export interface QemuOptions {
  dataDir: string;
  /** Default `<dataDir>/agents`. */
  agentsDir?: string | undefined;
  placeBundle?: PlaceBundle | undefined;
  /** How long `stop` lets processes end by themselves. Default 3000. */
  stopGraceMs?: number | undefined;
  /** Default `null`: no sandbox has a network of its own. */
  fullNetwork?: FullNetworkSettings | null | undefined;
}

const driverOptions = z.strictObject({
  agentsDir: z.string().startsWith('/').optional(),
  stopGraceMs: z.number().int().min(0).optional(),
  fullNetwork: fullNetworkSettings.nullish(),
});

export const qemuDriver: DriverFactory = (context, options) => {
  const parsed = driverOptions.safeParse(options);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new BerthError('invalid_request', `qemu: ${issue?.message}`, { field: issue?.path.join('.') ?? 'options' });
  }
  return createQemuProvider({ dataDir: context.dataDir, ...parsed.data });
};

/** Sandboxes as virtual machines of QEMU's `microvm` kind. */
export function createQemuProvider(options: QemuOptions): SandboxProvider {
  const fullNetwork = options.fullNetwork ?? null;
  return createMicrovmProvider({
    name: driverName,
    stopGraceMs: options.stopGraceMs,
    fullNetwork,
    probe: () => createReport(fullNetwork),
    async open() {
      const installation = await openQemu({
        dataDir: options.dataDir,
        agentsDir: options.agentsDir ?? `${options.dataDir}/agents`,
        placeBundle: options.placeBundle ?? placePackagedBundle,
        fullNetwork,
      });
      return { installation, machines: createMachines(installation) };
    },
  });
}
