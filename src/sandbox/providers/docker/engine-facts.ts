import type Docker from 'dockerode';
import { existsSync } from 'node:fs';
import type { SandboxLimits } from '../../../core/ports/sandbox-provider.ts';
import { engineCall } from './engine.ts';

/** What an engine is and can. */
export interface EngineFacts {
  name: 'Docker' | 'Podman';
  version: string;
  /** Where it keeps images and containers, for how full that is. */
  rootDir: string;
  runtimes: readonly string[];
  limits: readonly (keyof SandboxLimits)[];
  /** Whether a limit on memory can include swap. */
  swapCounted: boolean;
  /** Why no sandbox can be made with it; `null` when one can. */
  unusable: string | null;
}

interface EngineInfo {
  DockerRootDir: string;
  Runtimes?: Record<string, unknown>;
  MemoryLimit?: boolean;
  SwapLimit?: boolean;
  CpuCfsQuota?: boolean;
  PidsLimit?: boolean;
  OSType?: string;
  SecurityOptions?: string[] | null;
}

interface EngineVersion {
  Version: string;
  Components?: { Name: string }[];
}

export async function describeEngine(engine: Docker): Promise<EngineFacts> {
  const info = (await engineCall(() => engine.info())) as EngineInfo;
  const version = (await engineCall(() => engine.version())) as unknown as EngineVersion;
  const isPodman = version.Components?.some(({ Name }) => Name.toLowerCase().includes('podman')) === true;
  const limits: (keyof SandboxLimits)[] = [];
  if (info.CpuCfsQuota === true) limits.push('cpus');
  if (info.MemoryLimit === true) limits.push('memoryBytes');
  if (info.PidsLimit === true) limits.push('pids');
  return {
    name: isPodman ? 'Podman' : 'Docker',
    version: version.Version,
    rootDir: info.DockerRootDir,
    runtimes: Object.keys(info.Runtimes ?? {}),
    limits,
    swapCounted: info.SwapLimit === true,
    unusable: unusable(info),
  };
}

/** The runner's socket is in a directory that both sides have, under the ids that both sides mean. */
function unusable(info: EngineInfo): string | null {
  if (info.OSType !== undefined && info.OSType !== 'linux') return `its containers are of ${info.OSType}, not Linux`;
  if (!existsSync(info.DockerRootDir)) {
    return `it runs on another machine (${info.DockerRootDir} is not here), where the runner's socket would not be; run Berth beside it`;
  }
  const remapped = (info.SecurityOptions ?? []).find((option) => /^name=(rootless|userns)/.test(option));
  if (remapped !== undefined) {
    return `its containers have user ids of their own (${remapped}), so that the runner's socket belongs to neither side; use one without`;
  }
  return null;
}
