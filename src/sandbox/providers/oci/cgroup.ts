import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SandboxLimits } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { cgroupDirectories, type CgroupLayout } from '../../host/cgroups.ts';

/**
 * A sandbox's cgroup: what runs in it, by the kernel's own account. That a sandbox runs is read here and
 * nowhere else, so no process id is remembered and none can be mistaken for another's.
 */
export interface SandboxCgroup {
  processes(): Promise<number[]>;
  /** Whether nothing is left of any process. On v2 the list has none any more that is ending, while its files and sockets are still open. */
  isEmpty(): Promise<boolean>;
  /** Ends every process, frozen ones too, and resolves when none is left. */
  kill(): Promise<void>;
  /** The process that is number 1 inside; `null` when nothing runs. */
  init(): Promise<number | null>;
  /** Sends a signal to the first process (the init), which passes it on. */
  signalInit(signal: NodeJS.Signals): Promise<void>;
  /** Makes it, with its limits, for a runtime that leaves cgroups alone. */
  make(limits: SandboxLimits): Promise<void>;
  /** Sets the limits of one that is there. Throws `conflict` when more memory is in use and cannot be given back. */
  limit(limits: SandboxLimits): Promise<void>;
  /** Removes the directories in every hierarchy. No-op when absent. */
  remove(): Promise<void>;
  usage(): Promise<{ memoryBytes: number; cpuTimeMs: number; pids: number }>;
  directories: readonly string[];
}

export const cpuPeriodUs = 100_000;
/** The kernel takes no less. */
const minQuotaUs = 1000;

export function cpuQuotaUs(cpus: number): number {
  return Math.max(minQuotaUs, Math.round(Math.min(cpus, availableParallelism()) * cpuPeriodUs));
}

const killDeadlineMs = 10_000;

export function openCgroup(layout: CgroupLayout, path: string): SandboxCgroup {
  const directories = cgroupDirectories(layout, path);
  const v2 = layout.mode === 'v2';
  const of = (controller: string) => {
    const mount = layout.controllers.get(controller);
    return mount === undefined ? null : join(mount, path);
  };
  // Any hierarchy knows the processes; one with a controller is there on every host that can run sandboxes.
  const counting = of('pids') ?? of('memory') ?? directories[0] ?? null;

  async function processes(): Promise<number[]> {
    if (counting === null) return [];
    const text = await readOptional(join(counting, 'cgroup.procs'));
    return text === null ? [] : text.split('\n').filter(Boolean).map(Number);
  }

  async function isEmpty(): Promise<boolean> {
    if (!v2 || counting === null) return (await processes()).length === 0;
    const events = await readOptional(join(counting, 'cgroup.events'));
    return events === null || /^populated 0$/m.test(events);
  }

  async function thaw(): Promise<void> {
    const freezer = of('freezer');
    if (v2 && counting !== null) await writeOptional(join(counting, 'cgroup.freeze'), '0');
    else if (freezer !== null) await writeOptional(join(freezer, 'freezer.state'), 'THAWED');
  }

  async function init(): Promise<number | null> {
    const pids = (await processes()).toSorted((a, b) => a - b);
    return pids.length === 0 ? null : initOf(pids, pids[0]!);
  }

  async function set(controller: string, file: string, value: string): Promise<void> {
    const directory = of(controller);
    if (directory !== null) await writeOptional(join(directory, file), value);
  }

  async function limit(limits: SandboxLimits): Promise<void> {
    // Memory first: of all limits it alone can be refused.
    await limitMemory(String(limits.memoryBytes));
    if (v2) {
      await set('cpu', 'cpu.max', `${cpuQuotaUs(limits.cpus)} ${cpuPeriodUs}`);
    } else {
      await set('cpu', 'cpu.cfs_period_us', String(cpuPeriodUs));
      await set('cpu', 'cpu.cfs_quota_us', String(cpuQuotaUs(limits.cpus)));
    }
    await set('pids', 'pids.max', String(limits.pids));
  }

  async function limitMemory(value: string): Promise<void> {
    const memory = of('memory');
    if (memory === null) return;
    if (v2) {
      await set('memory', 'memory.max', value);
      await set('memory', 'memory.swap.max', '0');
      return;
    }
    // With swap counted in, the one must never be below the other.
    const files = ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'];
    const before = await readOptional(join(memory, 'memory.limit_in_bytes'));
    const raised = before !== null && Number(value) > Number(before);
    try {
      for (const file of raised ? files.toReversed() : files) await set('memory', file, value);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EBUSY') throw cause;
      throw new BerthError('conflict', 'more memory is in use than the new limit allows', {
        field: 'limits.memoryBytes',
        cause,
      });
    }
  }

  return {
    directories,
    processes,
    isEmpty,
    async kill() {
      const deadline = performance.now() + killDeadlineMs;
      for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 20)) {
        if (await isEmpty()) return;
        const pids = await processes();
        if (performance.now() > deadline) {
          throw new BerthError('upstream_failed', `${pids.length} processes of ${path} do not end`, {
            context: { pids },
          });
        }
        if (v2 && counting !== null) await writeOptional(join(counting, 'cgroup.kill'), '1');
        for (const pid of pids) signalProcess(pid, 'SIGKILL');
        await thaw();
        await sleep(waitMs);
      }
    },
    init,
    async signalInit(signal) {
      const pid = await init();
      if (pid !== null) signalProcess(pid, signal);
    },
    async make(limits) {
      for (const directory of directories) await mkdir(directory, { recursive: true });
      await limit(limits);
      const cpuset = v2 ? null : of('cpuset');
      // Empty at first on v1, and nothing can join until it is set.
      if (cpuset !== null) await inheritCpuset(cpuset);
    },
    limit,
    async remove() {
      for (const directory of directories) await removeCgroup(directory);
    },
    async usage() {
      const number = async (directory: string | null, file: string) =>
        directory === null ? null : Number((await readOptional(join(directory, file))) ?? 0);
      const stat = v2 && counting !== null ? await readOptional(join(counting, 'cpu.stat')) : null;
      const cpuTimeMs = v2
        ? Number(/^usage_usec (\d+)/m.exec(stat ?? '')?.[1] ?? 0) / 1000
        : ((await number(of('cpuacct'), 'cpuacct.usage')) ?? 0) / 1e6;
      // A host without the controller does not limit it either; what is there is counted by hand.
      return {
        memoryBytes: (await number(of('memory'), v2 ? 'memory.current' : 'memory.usage_in_bytes')) ?? (await privateMemory(await processes())),
        cpuTimeMs,
        pids: (await number(of('pids'), 'pids.current')) ?? (await processes()).length,
      };
    },
  };
}

async function inheritCpuset(directory: string): Promise<void> {
  const parent = dirname(directory);
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if ((await readOptional(join(parent, file)))?.trim() === '') await inheritCpuset(parent);
    const value = await readOptional(join(parent, file));
    if (value !== null) await writeOptional(join(directory, file), value.trim());
  }
}

/** Memory that these processes alone have and that is not the file system's: what ending them frees. */
export async function privateMemory(pids: readonly number[]): Promise<number> {
  const each = await Promise.all(
    pids.map(async (pid) => {
      const text = await readOptional(`/proc/${pid}/smaps_rollup`);
      return Number(/^Private_Dirty:\s+(\d+) kB/m.exec(text ?? '')?.[1] ?? 0) * 1024;
    }),
  );
  return each.reduce((sum, bytes) => sum + bytes, 0);
}

/** The process that is number 1 in its namespace; pids wrap around, so the lowest is only a guess. */
async function initOf(pids: readonly number[], fallback: number): Promise<number> {
  for (const pid of pids) {
    const status = await readOptional(`/proc/${pid}/status`);
    if (status !== null && /^NSpid:.*\s1$/m.test(status)) return pid;
  }
  return fallback;
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function removeCgroup(directory: string): Promise<void> {
  if (!existsSync(directory)) return;
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeCgroup(join(directory, entry.name));
  }
  // The kernel lets go of the last process a moment after it has left the list.
  for (let attempt = 0; ; attempt++) {
    try {
      await rmdir(directory);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || attempt >= 200) throw error;
      await sleep(5);
    }
  }
}

/** Of a file that goes away with its process or cgroup. */
async function readOptional(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

async function writeOptional(path: string, text: string): Promise<void> {
  try {
    // Never created: on v1 that would be an error of another kind than "absent".
    await writeFile(path, text, { flag: 'r+' });
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ESRCH' || code === 'ENODEV';
}
