import { expect } from 'vitest';
import { runTurn } from '../e2e/scripted.ts';
import type { Range } from './range.ts';

/**
 * Runs an attack and, for as long as it lasts, the work of the other sessions: at least one command in each, and one turn, all of
 * which must do what they say. Prints how long the commands took; a busy machine's figures prove nothing, so none is asserted.
 */
export type Beside = <T>(name: string, attack: () => Promise<T>) => Promise<T>;

export function createBeside(range: Pick<Range, 'client' | 'bystanders' | 'run'>): Beside {
  const quiet: number[] = [];

  /** One command in each of the other sandboxes. Resolves to how long each took. */
  async function pulse(): Promise<number[]> {
    return Promise.all(
      range.bystanders.map(async (id, index) => {
        const from = performance.now();
        const { out, exitCode } = await range.run(id, ['sh', '-c', `echo alive ${index} > pulse && cat pulse`]);
        expect({ out, exitCode }).toEqual({ out: `alive ${index}\n`, exitCode: 0 });
        return performance.now() - from;
      }),
    );
  }

  return async (name, attack) => {
    if (quiet.length === 0) for (let round = 0; round < 5; round++) quiet.push(...(await pulse()));
    const times: number[] = [];
    let running = true;
    const attacked = attack().finally(() => (running = false));
    const others = (async () => {
      const turn = runTurn(range.client, range.bystanders[0]!, 'say still here');
      do times.push(...(await pulse()));
      while (running);
      expect((await turn).text).toContain('still here');
    })();
    const [result] = await Promise.all([attacked, others]);
    const [p95Ms, ratio] = [p95(times).toFixed(0), (p95(times) / p95(quiet)).toFixed(1)];
    process.stdout.write(`${name}: ${times.length} commands of others beside it, p95 ${p95Ms} ms (${ratio} times that of a quiet machine)\n`);
    return result;
  };
}

function p95(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.95)] ?? 0;
}
