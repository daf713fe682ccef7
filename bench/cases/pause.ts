import { mustRun } from '../../src/sandbox/run-command.ts';
import { soon } from '../host.ts';
import { compare, sampleOf, timed, type Contender } from '../measure.ts';
import { ratioRow, skippedRow, type Row } from '../table.ts';
import type { BenchCase } from './case.ts';

const goal = 1.5;

/** One way to pause and to resume. */
interface Pair {
  name: string;
  pause: () => Promise<unknown>;
  resume: () => Promise<unknown>;
}

/** `pause` and `resume`, which ends when the runner answers; the plain runtime on the same sandbox, Docker on a container with as many limits. */
export const pause: BenchCase = {
  name: 'pause',
  needsDocker: true,
  async run({ host, docker, quick, say }) {
    const id = host.nextId();
    const client = await host.create(id);
    client.close();
    const { provider } = host;
    const runc = (...args: string[]) => mustRun('runc', ['--root', host.runtimeRoot, ...args]);
    const pairs: Pair[] = [
      {
        name: 'berth',
        pause: () => provider.pause(id, { signal: soon() }),
        resume: () => provider.resume(id, { signal: soon() }),
      },
      { name: 'runc', pause: () => runc('pause', id), resume: () => runc('resume', id) },
    ];
    try {
      if ('argv' in docker) {
        const [program, ...args] = docker.argv;
        const run = (...more: string[]) => mustRun(program, [...args, ...more]);
        await run('run', '--detach', '--name=pause', ...docker.confined, docker.image, 'sleep', 'infinity');
        pairs.push({ name: 'docker', pause: () => run('pause', 'pause'), resume: () => run('unpause', 'pause') });
      }
      say(`pause: ${pairs.map(({ name }) => name).join(', ')}`);
      const rounds = quick ? 10 : 50;
      const resumes = new Map(pairs.map(({ name }) => [name, [] as number[]]));
      const contenders: Contender[] = pairs.map((pair) => ({
        name: pair.name,
        async measureMs() {
          const pauseMs = await timed(pair.pause);
          resumes.get(pair.name)!.push(await timed(pair.resume));
          return pauseMs;
        },
      }));
      const pauses = await compare(contenders, { warmUp: 3, rounds, pauseMs: 10 });
      const resumed = (name: string) => sampleOf(resumes.get(name)!.slice(-rounds));
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
