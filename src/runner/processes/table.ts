import { BerthError } from '../../protocol/errors.ts';
import type { ProcessSpec } from '../../protocol/runner-api.ts';
import { defaultCwd } from '../child-env.ts';
import { SandboxProcess } from './process.ts';
import { startPiped } from './start-piped.ts';

const maxRunning = 256;
/** Exited processes stay readable until there are this many, or their output is this large. */
const maxEnded = 64;
const maxEndedBytes = 4 * 1024 * 1024;

export interface ProcessTable {
  start(spec: ProcessSpec): Promise<SandboxProcess>;
  list(): SandboxProcess[];
  /** Throws `not_found`. */
  get(id: string): SandboxProcess;
  /** SIGTERM to every process, SIGKILL after `timeoutMs`; resolves when all have exited. */
  endAll(timeoutMs: number): Promise<void>;
}

export function createProcessTable(): ProcessTable {
  const processes = new Map<string, SandboxProcess>();
  // Unique over restarts of the runner, so that an id never comes to mean another process.
  const epoch = Date.now().toString(36);
  let count = 0;

  function forgetOldest(): void {
    const ended = [...processes.values()].filter((process) => process.ended);
    let bytes = ended.reduce((sum, process) => sum + process.tail.costBytes, 0);
    let left = ended.length;
    for (const process of ended) {
      if (left <= maxEnded && bytes <= maxEndedBytes) return;
      processes.delete(process.id);
      bytes -= process.tail.costBytes;
      left--;
    }
  }

  return {
    async start(spec) {
      const running = [...processes.values()].filter((process) => process.running).length;
      if (running >= maxRunning) {
        throw new BerthError('resource_exhausted', `${maxRunning} processes run already`, { context: { maxRunning } });
      }
      const cwd = spec.cwd ?? defaultCwd();
      const { pty } = spec;
      const started =
        pty === undefined
          ? await startPiped(spec, cwd)
          : (await import('./start-terminal.ts')).startTerminal({ ...spec, pty }, cwd);
      const process = new SandboxProcess(`prc_${epoch}_${++count}`, spec, cwd, started);
      processes.set(process.id, process);
      process.once('end', forgetOldest);
      return process;
    },
    list: () => [...processes.values()],
    get(id) {
      const process = processes.get(id);
      if (process === undefined) throw new BerthError('not_found', `no process ${id}`, { field: 'id' });
      return process;
    },
    async endAll(timeoutMs) {
      const running = [...processes.values()].filter((process) => process.running);
      const exits = running.map((process) => process.exited);
      for (const process of running) process.signal('SIGTERM');
      const timer = setTimeout(() => {
        for (const process of running) if (process.running) process.signal('SIGKILL');
      }, timeoutMs);
      await Promise.all(exits);
      clearTimeout(timer);
    },
  };
}
