import { mustRun } from '../../src/sandbox/run-command.ts';
import { startContainer, type Docker } from '../docker.ts';
import { soon, type BenchHost } from '../host.ts';
import { comparePairs, type Pair } from '../measure.ts';
import { ratioRow, skippedRow, type Row } from '../table.ts';
import type { BenchCase } from './case.ts';

const goal = 1.5;

/** `pause` and `resume`, which ends when the runner answers; the plain runtime on the same sandbox, Docker on a container with as many limits. */
export const pause: BenchCase = {
  name: 'pause',
  needsDocker: true,
  async run({ host, docker, quick, say }) {
    const id = host.nextId();
    const client = await host.create(id);
    client.close();
    const pairs: Pair[] = [{ name: 'berth', ...berthPause(host, id) }, { name: 'runc', ...runcPause(host, id) }];
    try {
      if ('argv' in docker) {
        await startContainer(docker, 'pause');
        pairs.push({ name: 'docker', ...dockerPause(docker, 'pause') });
      }
      say(`pause: ${pairs.map(({ name }) => name).join(', ')}`);
      const rounds = quick ? 10 : 50;
      const { first: pauses, second } = await comparePairs(pairs, { warmUp: 3, rounds, pauseMs: 10 });
      const resumed = (name: string) => second.get(name)!;
      const rows: Row[] = [
        ratioRow('pause', pauses.get('berth')!, '`runc pause`, same sandbox', pauses.get('runc')!, goal),
        ratioRow('resume, to the runner answering', resumed('berth'), '`runc resume`', resumed('runc'), goal),
      ];
      return 'reason' in docker
        ? [...rows, skippedRow('pause', '`docker pause`', docker.reason)]
        : [
            ...rows,
            ratioRow('pause', pauses.get('berth')!, '`docker pause`', pauses.get('docker')!, null),
            ratioRow('resume', resumed('berth'), '`docker unpause`', resumed('docker'), null),
          ];
    } finally {
      await host.destroy(id);
    }
  },
};

type Halves = Pick<Pair, 'first' | 'second'>;

/** `resume` ends when the runner answers. */
export function berthPause({ provider }: BenchHost, id: string): Halves {
  return { first: () => provider.pause(id, { signal: soon() }), second: () => provider.resume(id, { signal: soon() }) };
}

export function runcPause(host: BenchHost, id: string): Halves {
  const runc = (command: string) => mustRun('runc', ['--root', host.runtimeRoot, command, id]);
  return { first: () => runc('pause'), second: () => runc('resume') };
}

export function dockerPause({ argv: [program, ...args] }: Docker, name: string): Halves {
  return { first: () => mustRun(program, [...args, 'pause', name]), second: () => mustRun(program, [...args, 'unpause', name]) };
}
