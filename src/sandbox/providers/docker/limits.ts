import type Docker from 'dockerode';
import type { SandboxLimits } from '../../../core/ports/sandbox-provider.ts';
import { cpuPeriodUs, cpuQuotaUs } from '../_shared/cgroup.ts';
import { engineCall } from './engine.ts';
import type { Installation } from './installation.ts';
import { callLibpod } from './libpod.ts';

/** What Docker calls the limits, at making and at changing, and Podman at making. Without swap, where that is counted. */
export function engineLimits({ cpus, memoryBytes, pids }: SandboxLimits, swapCounted: boolean): Docker.HostConfig {
  return {
    ...(cpus > 0 ? { NanoCpus: Math.round(cpus * 1e9) } : {}),
    ...(memoryBytes > 0 ? { Memory: memoryBytes, ...(swapCounted ? { MemorySwap: memoryBytes } : {}) } : {}),
    ...(pids > 0 ? { PidsLimit: pids } : {}),
  };
}

/** Of a container that runs or does not. Docker keeps them; Podman changes those of what runs, until it ends. */
export async function changeLimits(installation: Installation, container: Docker.Container, limits: SandboxLimits): Promise<void> {
  const { facts, engine } = installation;
  if (facts.limits.length === 0) return;
  if (facts.name === 'Docker') return void (await engineCall(() => container.update(engineLimits(limits, facts.swapCounted))));
  if ((await engineCall(() => container.inspect())).State.Running) await changeInPodman(engine, container.id, limits, facts.swapCounted);
}

/** After a start, where the engine has forgotten what was changed since the container was made. */
export async function restoreLimits(installation: Installation, container: Docker.Container, limits: SandboxLimits): Promise<void> {
  const { facts, engine } = installation;
  if (facts.name === 'Podman') await changeInPodman(engine, container.id, limits, facts.swapCounted);
}

/** Podman's own API has this call since 4.3, what it has of Docker's not before 5. It takes the resources of an OCI runtime's specification. */
async function changeInPodman(engine: Docker, container: string, limits: SandboxLimits, swapCounted: boolean): Promise<void> {
  const { cpus, memoryBytes, pids } = limits;
  const resources = {
    ...(cpus > 0 ? { cpu: { period: cpuPeriodUs, quota: cpuQuotaUs(cpus) } } : {}),
    ...(memoryBytes > 0 ? { memory: { limit: memoryBytes, ...(swapCounted ? { swap: memoryBytes } : {}) } } : {}),
    ...(pids > 0 ? { pids: { limit: pids } } : {}),
  };
  if (Object.keys(resources).length === 0) return;
  await callLibpod(engine, { method: 'POST', path: `containers/${encodeURIComponent(container)}/update`, body: resources });
}
