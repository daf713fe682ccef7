import { readdir, readFile } from 'node:fs/promises';

/** The processes of a sandbox as the host sees them. */
export async function sandboxProcesses(sandboxId: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const cgroup = await readFile(`/proc/${name}/cgroup`, 'utf8').catch(() => '');
    if (cgroup.includes(sandboxId)) found.push(Number(name));
  }
  return found;
}
