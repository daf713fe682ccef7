import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { soon } from '../host.ts';
import { quantile } from '../measure.ts';
import { sizeRow } from '../table.ts';
import type { BenchCase } from './case.ts';

/** The runner gives memory back two seconds after its last request. */
export const idleMs = 5000;
const goalBytes = 20e6;

/**
 * Several sandboxes side by side, as on a server: what they share (the text of Node) is then counted for none of them.
 * Each has run a command before it idles. `Private_Dirty` is what its end would free; `Private_Clean` would be dropped
 * and read again.
 */
export const idleMemory: BenchCase = {
  name: 'memory',
  needsDocker: false,
  async run({ host, quick, say }) {
    const ids = Array.from({ length: quick ? 2 : 4 }, () => host.nextId());
    try {
      for (const id of ids) {
        const runner = await host.create(id);
        await runner.exec({ argv: ['true'] }, soon());
        runner.close();
      }
      say(`memory: ${ids.length} sandboxes idle`);
      await sleep(idleMs);
      const reported: number[] = [];
      const [dirty, clean]: [number[], number[]] = [[], []];
      for (const id of ids) {
        reported.push((await host.provider.stats(id, { signal: soon() })).privateMemoryBytes ?? Number.NaN);
        const memory = await memoryBelow(await initOf(host.runtimeRoot, id));
        dirty.push(memory.dirtyBytes);
        clean.push(memory.dirtyBytes + memory.cleanBytes);
      }
      return [
        sizeRow('private memory of an idle sandbox (`stats`)', quantile(reported, 0.5), goalBytes),
        sizeRow('... summed from smaps_rollup, Private_Dirty', quantile(dirty, 0.5), goalBytes),
        sizeRow('... and with Private_Clean', quantile(clean, 0.5), null),
      ];
    } finally {
      for (const id of ids) await host.destroy(id);
    }
  },
};

/** From the runtime's state and not from the provider, whose own figure is what is checked. */
async function initOf(runtimeRoot: string, id: string): Promise<number> {
  const state = JSON.parse(await readFile(join(runtimeRoot, id, 'state.json'), 'utf8')) as { init_process_pid: number };
  return state.init_process_pid;
}

async function memoryBelow(pid: number): Promise<{ dirtyBytes: number; cleanBytes: number }> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]) * 1024;
  const sum = { dirtyBytes: field('Private_Dirty'), cleanBytes: field('Private_Clean') };
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ').filter(Boolean);
  for (const child of children) {
    const { dirtyBytes, cleanBytes } = await memoryBelow(Number(child));
    sum.dirtyBytes += dirtyBytes;
    sum.cleanBytes += cleanBytes;
  }
  return sum;
}
