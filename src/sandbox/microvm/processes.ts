import { readdirSync, readFileSync, statSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { writeAtomic } from '../write-atomic.ts';

const machineProcess = z.object({ pid: z.number(), startTime: z.string() });
/** A process, told from a later one of the same number by when it was started. */
export type MachineProcess = z.infer<typeof machineProcess>;

export async function writeProcess(path: string, pid: number): Promise<void> {
  const startTime = startTimeOf(pid);
  if (startTime !== null) await writeAtomic(path, JSON.stringify({ pid, startTime }), 0o600);
}

/** `null`: it has ended, or there never was one. */
export async function liveProcess(path: string): Promise<MachineProcess | null> {
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null) return null;
  const parsed = machineProcess.safeParse(JSON.parse(text));
  return parsed.success && startTimeOf(parsed.data.pid) === parsed.data.startTime ? parsed.data : null;
}

/** Field 22 of /proc/<pid>/stat; `null` for one that has ended, though it may wait for its parent to take note. */
export function startTimeOf(pid: number): string | null {
  const fields = statOf(pid);
  return fields === null || fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19]!;
}

/** From the third field on: the second, the program's name, may have anything in it. */
function statOf(pid: number, task?: string): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/${task === undefined ? '' : `task/${task}/`}stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

/** Everything that runs as a user of the host: a machine's user has nothing else. */
export function processesOf(uid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return statSync(`/proc/${pid}`).uid === uid && startTimeOf(pid) !== null;
      } catch {
        return false;
      }
    });
}

/** Ends everything of a user and resolves when it is gone. */
export async function killAllOf(uid: number): Promise<void> {
  for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 50)) {
    const pids = processesOf(uid);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    await sleep(waitMs);
  }
}

/**
 * Ends a machine and resolves when it is gone: the process on record, which may still be root's, as what starts a machine is
 * at first; then everything of its user.
 */
export async function endMachine(processFile: string, uid: number | null): Promise<void> {
  for (;;) {
    const machine = await liveProcess(processFile);
    if (machine === null) break;
    try {
      process.kill(machine.pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
    await sleep(1);
  }
  if (uid !== null) await killAllOf(uid);
}

const ticksPerSecond = 100;

export interface ProcessUsage {
  memoryBytes: number;
  privateMemoryBytes: number;
  /** Of the threads that run the guest, which stand still while it is paused. */
  cpuTimeMs: number;
}

/** `vcpuPrefix`: how the names of the threads begin that run the guest. */
export async function usageOf(pid: number, vcpuPrefix: string): Promise<ProcessUsage> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0) * 1024;
  let ticks = 0;
  for (const task of await readdir(`/proc/${pid}/task`).catch(() => [])) {
    const name = await readFile(`/proc/${pid}/task/${task}/comm`, 'utf8').catch(() => '');
    if (!name.startsWith(vcpuPrefix)) continue;
    const fields = statOf(pid, task);
    if (fields !== null) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return {
    memoryBytes: kib('Rss'),
    privateMemoryBytes: kib('Private_Clean') + kib('Private_Dirty'),
    cpuTimeMs: (ticks * 1000) / ticksPerSecond,
  };
}
