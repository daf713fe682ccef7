import { readdir, readFile, readlink } from 'node:fs/promises';
import { privateMemory } from '../_shared/cgroup.ts';

export interface ProcessUsage {
  memoryBytes: number;
  cpuTimeMs: number;
  pids: number;
}

/** USER_HZ, which is the same on every architecture that Linux has today. */
const ticksPerSecond = 100;

/** What the processes of a sandbox use, counted one by one: for an engine that has no cgroup to ask. `init`: its first one, as the host numbers it. */
export async function usageOfProcesses(init: number): Promise<ProcessUsage> {
  const pids = await processesBeside(init);
  const [memoryBytes, ticks] = await Promise.all([privateMemory(pids), Promise.all(pids.map(cpuTicks))]);
  return { memoryBytes, cpuTimeMs: (ticks.reduce((sum, each) => sum + each, 0) * 1000) / ticksPerSecond, pids: pids.length };
}

/** Those of the same namespace of processes, which is the sandbox's own. */
async function processesBeside(init: number): Promise<number[]> {
  const namespaceOf = (pid: number | string) => readlink(`/proc/${pid}/ns/pid`).catch(() => null);
  const namespace = await namespaceOf(init);
  if (namespace === null || namespace === (await namespaceOf('self'))) return [];
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const namespaces = await Promise.all(all.map(namespaceOf));
  return all.filter((_, index) => namespaces[index] === namespace).map(Number);
}

/** Its own, and those of its children that have ended. */
async function cpuTicks(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // Behind the name, in which there may be anything: state is the third field of proc_pid_stat(5), utime to cstime the 14th to 17th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}
