import { readdirSync, readFileSync } from 'node:fs';

/** One process as /proc shows it. */
export interface ProcessEntry {
  pid: number;
  parentPid: number;
  groupId: number;
  /** Clock ticks since boot; with the pid it names a process for good. */
  startTime: string;
}

/** Names a process across the reuse of its pid. */
export function processKey(entry: ProcessEntry): string {
  return `${entry.pid}:${entry.startTime}`;
}

/** All processes visible here; empty where there is no /proc. */
export function listProcesses(): ProcessEntry[] {
  let names: string[];
  try {
    names = readdirSync('/proc');
  } catch {
    return [];
  }
  return names.flatMap((name) => (/^\d+$/.test(name) ? (readProcess(Number(name)) ?? []) : []));
}

/** `null` when the process is gone or a zombie. */
export function readProcess(pid: number): ProcessEntry | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null;
  }
  // The command's name, in parentheses, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return null;
  return { pid, parentPid: Number(fields[1]), groupId: Number(fields[2]), startTime: fields[19] ?? '' };
}

/** Whether a process was started with `marker` (`NAME=value`) in its environment. */
export function hasMarker(pid: number, marker: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(marker);
  } catch {
    // Gone, or of another user: then only its place in the tree tells.
    return false;
  }
}

/** The pids below `root`, without it. */
export function descendants(processes: readonly ProcessEntry[], root: number): Set<number> {
  const children = Map.groupBy(processes, (entry) => entry.parentPid);
  const found = new Set<number>();
  const queue = [root];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    for (const child of children.get(pid) ?? []) {
      if (found.has(child.pid)) continue;
      found.add(child.pid);
      queue.push(child.pid);
    }
  }
  return found;
}

/** Sends a signal; a process that is gone already is no error. */
export function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}
