import { readFile } from 'node:fs/promises';
import { missingCapabilities } from './capabilities.ts';

/** This process's hard limit on open files: a sandbox's can only be set at or below it. */
export async function maxOpenFiles(): Promise<number> {
  return (await hardLimit('open files')) ?? 1_048_576;
}

/** The same of processes, which are counted for each user; at most as many as there can be on the machine. */
export async function maxProcesses(): Promise<number> {
  const ids = Number(await readFile('/proc/sys/kernel/pid_max', 'utf8'));
  return Math.min(ids, (await hardLimit('processes')) ?? ids);
}

async function hardLimit(what: 'open files' | 'processes'): Promise<number | null> {
  const limits = await readFile('/proc/self/limits', 'utf8');
  const hard = new RegExp(`^Max ${what}\\s+\\S+\\s+(\\d+)`, 'm').exec(limits)?.[1];
  return hard === undefined ? null : Number(hard);
}

/**
 * Why crun cannot start anything with cgroup v2 here, or `null`: it raises the limit on locked memory before it loads the rules for
 * devices, and takes a refusal for a failure (containers/crun, `libcrun_ebpf_load`), where runc goes on.
 */
export async function crunObstacle(): Promise<string | null> {
  const limits = await readFile('/proc/self/limits', 'utf8');
  if (/^Max locked memory\s+\S+\s+unlimited/m.test(limits)) return null;
  if (!(await missingCapabilities()).includes('SYS_RESOURCE')) return null;
  return 'it may not raise its limit on locked memory, which it needs to set rules for devices';
}
