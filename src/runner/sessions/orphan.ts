import { rmSync, writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from './clock.ts';
import { descendants, listProcesses, processKey, readProcess, signalQuietly } from './process-tree.ts';

const fileName = 'agent.json';
const graceMs = 2000;
const pollMs = 50;

/** Remembers the agent's process on disk, so that a runner that is killed can be followed by one that cleans up. */
export function rememberAgent(directory: string, pid: number): void {
  const entry = readProcess(pid);
  if (entry !== null)
    writeFileSync(join(directory, fileName), JSON.stringify({ key: processKey(entry), pid }), { mode: 0o600 });
}

export function forgetAgent(directory: string): void {
  rmSync(join(directory, fileName), { force: true });
}

/**
 * Ends the agent that an earlier runner left behind, with its group and what hangs below it: two agents
 * must not work in one conversation. Nothing happens when it is gone or its pid belongs to another.
 */
export async function endOrphan(directory: string, clock: Clock): Promise<void> {
  const orphan = readRemembered(directory);
  if (orphan !== null && isAlive(orphan)) {
    const below = [...descendants(listProcesses(), orphan.pid)].flatMap((pid) => readProcess(pid) ?? []);
    const all = [orphan, ...below.map((entry) => ({ pid: entry.pid, key: processKey(entry) }))];
    signalQuietly(-orphan.pid, 'SIGTERM');
    for (const { pid } of all) signalQuietly(pid, 'SIGTERM');
    for (let waitedMs = 0; waitedMs < graceMs && all.some(isAlive); waitedMs += pollMs) await clock.sleep(pollMs);
    if (isAlive(orphan)) signalQuietly(-orphan.pid, 'SIGKILL');
    for (const entry of all.filter(isAlive)) signalQuietly(entry.pid, 'SIGKILL');
  }
  forgetAgent(directory);
}

function isAlive({ pid, key }: { pid: number; key: string }): boolean {
  const entry = readProcess(pid);
  return entry !== null && processKey(entry) === key;
}

/** The file lies where the agent can write: nothing but a process of that very start is ever signalled. */
function readRemembered(directory: string): { pid: number; key: string } | null {
  try {
    const { pid, key } = JSON.parse(readFileSync(join(directory, fileName), 'utf8')) as Record<string, unknown>;
    return Number.isInteger(pid) && (pid as number) > 1 && typeof key === 'string' ? { pid: pid as number, key } : null;
  } catch {
    return null;
  }
}
