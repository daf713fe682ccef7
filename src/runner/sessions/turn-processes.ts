import type { Clock } from './clock.ts';
import {
  descendants,
  hasMarker,
  listProcesses,
  processKey,
  readProcess,
  signalQuietly,
  type ProcessEntry,
} from './process-tree.ts';

const graceMs = 2000;
const pollMs = 50;

/**
 * The processes that an agent started during one turn. Agents run commands in sessions of their own,
 * out of reach of the agent's process group, and some (Codex) leave them running when a turn is
 * cancelled. What was there before the turn, such as a dev server, is never among them.
 */
export class TurnProcesses {
  readonly #before = new Set(listProcesses().map(processKey));
  readonly #marker: string;
  readonly #seen = new Map<string, ProcessEntry>();

  /** `marker` is the `NAME=value` in the agent's environment, which its commands inherit. */
  constructor(marker: string) {
    this.#marker = marker;
  }

  /**
   * Takes note of what runs now: a tree falls apart when its parent dies. With the agent alive its own
   * group is left out: that is the agent itself, its adapter and its MCP servers.
   */
  observe(agentPid: number, agentAlive: boolean): void {
    const processes = listProcesses();
    const below = descendants(processes, agentPid);
    for (const entry of processes) {
      const key = processKey(entry);
      if (this.#before.has(key) || entry.pid === agentPid || entry.pid === process.pid) continue;
      if (agentAlive && entry.groupId === agentPid) continue;
      if (below.has(entry.pid) || hasMarker(entry.pid, this.#marker)) this.#seen.set(key, entry);
    }
  }

  /** Ends what was observed: SIGTERM, and after two seconds SIGKILL. */
  async end(clock: Clock): Promise<void> {
    for (const entry of this.#alive()) signalQuietly(entry.pid, 'SIGTERM');
    for (let waitedMs = 0; waitedMs < graceMs && this.#alive().length > 0; waitedMs += pollMs)
      await clock.sleep(pollMs);
    for (const entry of this.#alive()) signalQuietly(entry.pid, 'SIGKILL');
    this.#seen.clear();
  }

  #alive(): ProcessEntry[] {
    return [...this.#seen.values()].filter((entry) => readProcess(entry.pid)?.startTime === entry.startTime);
  }
}
