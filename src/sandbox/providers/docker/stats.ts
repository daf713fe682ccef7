import { existsSync } from 'node:fs';
import type { SandboxStats } from '../../../core/ports/sandbox-provider.ts';
import { runCommand } from '../../run-command.ts';
import { engineCall } from './engine.ts';
import type { Installation } from './installation.ts';
import type { SandboxParts } from './sandbox.ts';

/** The parts that are used, in the engine's own names; all zero of one that does not run. */
interface EngineStats {
  cpu_stats?: { cpu_usage?: { total_usage?: number } };
  memory_stats?: { usage?: number; stats?: { anon?: number; total_rss?: number } };
  pids_stats?: { current?: number };
}

export async function statsOf(installation: Installation, parts: SandboxParts, signal: AbortSignal): Promise<SandboxStats> {
  const once = { stream: false, 'one-shot': true } as const;
  const [stats, diskBytes] = await Promise.all([
    engineCall(() => parts.container.stats(once)) as Promise<EngineStats>,
    diskUsage(installation, parts, signal),
  ]);
  const memory = stats.memory_stats;
  return {
    memoryBytes: memory?.usage ?? 0,
    // cgroup v2 has `anon`, v1 `total_rss`.
    privateMemoryBytes: memory?.stats?.anon ?? memory?.stats?.total_rss ?? (memory?.usage === undefined ? 0 : null),
    cpuTimeMs: Math.round((stats.cpu_stats?.cpu_usage?.total_usage ?? 0) / 1e6),
    pids: stats.pids_stats?.current ?? 0,
    diskBytes,
  };
}

/** The container's own layer and its volume. */
async function diskUsage({ engine }: Installation, { name, container }: SandboxParts, signal: AbortSignal): Promise<number> {
  const [layer, volume] = await Promise.all([
    engineCall(() => container.inspect({ size: true } as object)) as Promise<{ SizeRw?: number }>,
    engineCall(() => engine.getVolume(name).inspect()),
  ]);
  return (layer.SizeRw ?? 0) + (await directorySize(volume.Mountpoint, signal));
}

/** In one pass; files that go meanwhile are no failure. */
async function directorySize(path: string, signal: AbortSignal): Promise<number> {
  if (!existsSync(path)) return 0;
  const { stdout } = await runCommand('du', ['--summarize', '--block-size=1', '--one-file-system', path], { signal });
  return Number.parseInt(stdout, 10) || 0;
}
