import { startContainer } from '../docker.ts';
import { soon } from '../host.ts';
import { compare, timed, type Contender } from '../measure.ts';
import { ratioRow, skippedRow, type Row } from '../table.ts';
import { commandContender, type BenchCase } from './case.ts';

const what = 'command in a running sandbox';
const goal = 0.15;

/** `true` through the runner, on a connection that is kept, as every command of a session goes; the others on the same sandbox or one like it. */
export const exec: BenchCase = {
  name: 'exec',
  needsDocker: true,
  async run({ host, docker, quick, say }) {
    const id = host.nextId();
    const runner = await host.create(id);
    try {
      const contenders: Contender[] = [
        { name: 'berth', measureMs: () => timed(() => runner.exec({ argv: ['true'] }, soon())) },
        commandContender('runc', ['runc', '--root', host.runtimeRoot, 'exec', id, 'true']),
      ];
      if ('argv' in docker) {
        await startContainer(docker, 'exec');
        contenders.push(commandContender('docker', [...docker.argv, 'exec', 'exec', 'true']));
      }
      say(`exec: ${contenders.map(({ name }) => name).join(', ')}`);
      const samples = await compare(contenders, { warmUp: 5, rounds: quick ? 20 : 100, pauseMs: 0 });
      const berth = samples.get('berth')!;
      const rows: Row[] = [ratioRow(what, berth, '`runc exec`, same sandbox', samples.get('runc')!, goal)];
      return 'reason' in docker
        ? [...rows, skippedRow(what, '`docker exec`', docker.reason)]
        : [...rows, ratioRow(what, berth, '`docker exec`, same limits', samples.get('docker')!, goal)];
    } finally {
      runner.close();
      await host.destroy(id);
    }
  },
};
