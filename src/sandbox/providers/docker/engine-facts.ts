import type Docker from 'dockerode';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { SandboxLimits } from '../../../core/ports/sandbox-provider.ts';
import { engineCall } from './engine.ts';
import { callLibpod } from './libpod.ts';

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
  /** Whose it is, where that is not root: a rootless engine can do what this user can. */
  user: { uid: number; gid: number } | null;
  /** Why no sandbox can be made with it; `null` when one can. */
  unusable: string | null;
}

interface EngineInfo {
  DockerRootDir: string;
  Runtimes?: Record<string, { path?: string }>;
  MemoryLimit?: boolean;
  SwapLimit?: boolean;
  CpuCfsQuota?: boolean;
  PidsLimit?: boolean;
  OSType?: string;
  SecurityOptions?: string[] | null;
  CgroupVersion?: string;
  /** Podman's word for what Docker has among the above. */
  Rootless?: boolean;
}

interface EngineVersion {
  Version: string;
  Components?: { Name: string }[];
}

export async function describeEngine(engine: Docker, socketPath: string): Promise<EngineFacts> {
  const info = (await engineCall(() => engine.info())) as EngineInfo;
  const version = (await engineCall(() => engine.version())) as unknown as EngineVersion;
  const isPodman = version.Components?.some(({ Name }) => Name.toLowerCase().includes('podman')) === true;
  const rootless = info.Rootless === true || (info.SecurityOptions ?? []).some((option) => option.startsWith('name=rootless'));
  const socket = rootless ? await stat(socketPath) : null;
  return {
    name: isPodman ? 'Podman' : 'Docker',
    version: version.Version,
    rootDir: info.DockerRootDir,
    runtimes: runtimesOf(info),
    limits: isPodman ? await limitsOfPodman(engine) : limitsOf(info),
    swapCounted: info.SwapLimit === true,
    user: socket === null ? null : { uid: socket.uid, gid: socket.gid },
    unusable: unusable(info, rootless),
  };
}

/** Podman names all that it knows of, wherever they would be. */
function runtimesOf({ Runtimes: runtimes = {} }: EngineInfo): string[] {
  return Object.keys(runtimes).filter((name) => {
    const path = runtimes[name]?.path;
    return path === undefined || !path.startsWith('/') || existsSync(path);
  });
}

function limitsOf(info: Pick<EngineInfo, 'CpuCfsQuota' | 'MemoryLimit' | 'PidsLimit'>): (keyof SandboxLimits)[] {
  const limits: (keyof SandboxLimits)[] = [];
  if (info.CpuCfsQuota === true) limits.push('cpus');
  if (info.MemoryLimit === true) limits.push('memoryBytes');
  if (info.PidsLimit === true) limits.push('pids');
  return limits;
}

/** By the controllers that it has: in what it says to Docker's clients a limit on processes is always there. */
async function limitsOfPodman(engine: Docker): Promise<(keyof SandboxLimits)[]> {
  const { host } = (await callLibpod(engine, { method: 'GET', path: 'info' })) as { host: { cgroupControllers: string[] | null } };
  const controllers = host.cgroupControllers ?? [];
  return limitsOf({
    CpuCfsQuota: controllers.includes('cpu'),
    MemoryLimit: controllers.includes('memory'),
    PidsLimit: controllers.includes('pids'),
  });
}

/** Directories of this machine are shared with sandboxes, and what an engine cannot hold still cannot be copied. */
function unusable(info: EngineInfo, rootless: boolean): string | null {
  if (info.OSType !== undefined && info.OSType !== 'linux') return `its containers are of ${info.OSType}, not Linux`;
  if (!existsSync(info.DockerRootDir)) {
    return `it runs on another machine (${info.DockerRootDir} is not here), where the runner's socket would not be; run Berth beside it`;
  }
  if (rootless && info.CgroupVersion === '1') {
    return 'it is rootless on cgroup v1, where it can neither limit nor pause what it runs; boot with systemd.unified_cgroup_hierarchy=1, or use one of root';
  }
  return null;
}
