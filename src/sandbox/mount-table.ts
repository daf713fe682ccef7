import { readFile } from 'node:fs/promises';
import { mustRun } from './run-command.ts';

export interface Mount {
  path: string;
  type: string;
  /** Options of the file system: of a cgroup hierarchy, its controllers. */
  options: readonly string[];
}

/** The mounts of this process's namespace, in the order they were made. */
export async function readMounts(): Promise<Mount[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const fields = line.split(' ');
      const after = fields.indexOf('-');
      return {
        path: unescape(fields[4]!),
        type: fields[after + 1]!,
        options: (fields[after + 3] ?? '').split(','),
      };
    });
}

export async function isMounted(path: string): Promise<boolean> {
  return (await readMounts()).some((mount) => mount.path === path);
}

/** Takes away every mount at or below a path, last made first. No-op when there is none. */
export async function unmountBelow(path: string): Promise<void> {
  const mounts = (await readMounts()).filter((mount) => mount.path === path || mount.path.startsWith(`${path}/`));
  // Lazily: a process elsewhere that holds a directory open must not keep a sandbox from being removed.
  for (const mount of mounts.toReversed()) await mustRun('umount', ['--lazy', '--', mount.path]);
}

/** The kernel writes space, tab, newline and backslash as octal. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
