import { z } from 'zod';
import type { SandboxProvider } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { fullNetworkSettings, type FullNetworkSettings } from '../../full-network/host-check.ts';
import { createMicrovmProvider } from '../../microvm/driver/provider.ts';
import type { DriverFactory } from '../../registry.ts';
import { placePackagedBundle, type PlaceBundle } from '../../runner-layer/bundle.ts';
import { driverName, openFirecracker } from './installation.ts';
import { kvmDevice } from './kvm.ts';
import { createMachines } from './machines.ts';
import { cardLimits, driveLimits, type CardLimits, type DriveLimits } from './rate-limits.ts';
import { createReport } from './report.ts';

export interface FirecrackerOptions {
  dataDir: string;
  /** Default `<dataDir>/agents`. */
  agentsDir?: string | undefined;
  placeBundle?: PlaceBundle | undefined;
  /** How long `stop` lets processes end by themselves. Default 3000. */
  stopGraceMs?: number | undefined;
  /** Of one release. Default: those on the system's path. */
  firecracker?: string | undefined;
  jailer?: string | undefined;
  /** Of every drive of every machine. Default: none. */
  driveLimits?: DriveLimits | undefined;
  /** Of each machine's network card. Default: none. */
  cardLimits?: CardLimits | undefined;
  /** Default `null`: no sandbox has a network of its own. */
  fullNetwork?: FullNetworkSettings | null | undefined;
  /** Default `/dev/kvm`. */
  kvmDevice?: string | undefined;
  /** Default: Berth's own. */
  kernelDir?: string | undefined;
}

const driverOptions = z.strictObject({
  agentsDir: z.string().startsWith('/').optional(),
  stopGraceMs: z.number().int().min(0).optional(),
  firecracker: z.string().startsWith('/').optional(),
  jailer: z.string().startsWith('/').optional(),
  driveLimits: driveLimits.optional(),
  cardLimits: cardLimits.optional(),
  fullNetwork: fullNetworkSettings.nullish(),
});

export const firecrackerDriver: DriverFactory = (context, options) => {
  const parsed = driverOptions.safeParse(options);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new BerthError('invalid_request', `firecracker: ${issue?.message}`, { field: issue?.path.join('.') ?? 'options' });
  }
  return createFirecrackerProvider({ dataDir: context.dataDir, ...parsed.data });
};

/** Sandboxes as Firecracker's machines, each process in a jail. */
export function createFirecrackerProvider(options: FirecrackerOptions): SandboxProvider {
  const fullNetwork = options.fullNetwork ?? null;
  const programs = { firecracker: options.firecracker, jailer: options.jailer };
  return createMicrovmProvider({
    name: driverName,
    stopGraceMs: options.stopGraceMs,
    fullNetwork,
    probe: () => createReport(programs, options.kvmDevice ?? kvmDevice, fullNetwork),
    async open() {
      const installation = await openFirecracker({
        dataDir: options.dataDir,
        agentsDir: options.agentsDir ?? `${options.dataDir}/agents`,
        placeBundle: options.placeBundle ?? placePackagedBundle,
        kernelDir: options.kernelDir,
        programs,
        fullNetwork,
      });
      return { installation, machines: createMachines(installation, { drives: options.driveLimits ?? {}, card: options.cardLimits ?? {} }) };
    },
  });
}
