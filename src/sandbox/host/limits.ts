import { readFile } from 'node:fs/promises';
import { missingCapabilities } from './capabilities.ts';

/** This process's hard limit on open files: a sandbox's can only be set at or below it. */
export async function maxOpenFiles(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8');
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  return hard === undefined || hard === 'unlimited' ? 1_048_576 : Number(hard);
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
