import { existsSync } from 'node:fs';
import type { SandboxStats } from '../../../core/ports/sandbox-provider.ts';
import { runCommand } from '../../run-command.ts';
import { engineCall } from './engine.ts';
import type { Installation } from './installation.ts';
import { usageOfProcesses } from './process-usage.ts';
import type { SandboxParts } from './sandbox.ts';

/** The parts that are used, in the engine's own names; all zero of one that does not run. */
interface EngineStats {
  cpu_stats?: { cpu_usage?: { total_usage?: number } };
  memory_stats?: { usage?: number; stats?: { anon?: number; total_rss?: number } };
  pids_stats?: { current?: number };
}

export async function statsOf(installation: Installation, parts: SandboxParts, signal: AbortSignal): Promise<SandboxStats> {
  const once = { stream: false, 'one-shot': true } as const;
  const [stats, { diskBytes, init }] = await Promise.all([
    engineCall(() => parts.container.stats(once)) as Promise<EngineStats>,
    inspectUsage(installation, parts, signal),
  ]);
  const memory = stats.memory_stats;
  const told = {
    memoryBytes: memory?.usage ?? 0,
    cpuTimeMs: Math.round((stats.cpu_stats?.cpu_usage?.total_usage ?? 0) / 1e6),
    pids: stats.pids_stats?.current ?? 0,
  };
  // cgroup v2 has `anon`, v1 `total_rss`.
  const privateMemoryBytes = memory?.stats?.anon ?? memory?.stats?.total_rss ?? (told.memoryBytes === 0 ? 0 : null);
  const whole = told.memoryBytes > 0 && told.cpuTimeMs > 0 && told.pids > 0;
  if (whole || init === 0) return { ...told, privateMemoryBytes, diskBytes };
  // What the engine has no controller for it calls 0. Time is of one clock at every call.
  const counted = await usageOfProcesses(init);
  return {
    memoryBytes: told.memoryBytes || counted.memoryBytes,
    privateMemoryBytes: told.memoryBytes > 0 ? privateMemoryBytes : counted.memoryBytes,
    cpuTimeMs: told.cpuTimeMs || counted.cpuTimeMs,
    pids: told.pids || counted.pids,
    diskBytes,
  };
}

/** `diskBytes`: the container's own layer and its volume. `init`: its first process, 0 when it does not run. */
async function inspectUsage(
  { engine }: Installation,
  { name, container }: SandboxParts,
  signal: AbortSignal,
): Promise<{ diskBytes: number; init: number }> {
  const [found, volume] = await Promise.all([
    engineCall(() => container.inspect({ size: true } as object)) as Promise<{ SizeRw?: number; State: { Pid: number } }>,
    engineCall(() => engine.getVolume(name).inspect()),
  ]);
  return { diskBytes: (found.SizeRw ?? 0) + (await directorySize(volume.Mountpoint, signal)), init: found.State.Pid };
}

/** In one pass; files that go meanwhile are no failure. */
async function directorySize(path: string, signal: AbortSignal): Promise<number> {
  if (!existsSync(path)) return 0;
  const { stdout } = await runCommand('du', ['--summarize', '--block-size=1', '--one-file-system', path], { signal });
  return Number.parseInt(stdout, 10) || 0;
}
