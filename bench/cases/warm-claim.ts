import { setTimeout as sleep } from 'node:timers/promises';
import type { Core } from '../../src/core/create-core.ts';
import { openCore } from '../core.ts';
import { soon } from '../host.ts';
import { compare, timed, type Contender } from '../measure.ts';
import { limitRow, ratioRow, skippedRow, type Row } from '../table.ts';
import { commandContender, type BenchCase } from './case.ts';

const what = 'warm claim to first command done';
const goalMs = 15;
const goalRatio = 0.1;

/**
 * From a session that has no sandbox to the end of its first command: the claim in the store, binding with the session's
 * limits and labels, connection, command. The warm sandbox has been ready for a moment, and the next is made and the last
 * removed outside the timing.
 */
export const warmClaim: BenchCase = {
  name: 'claim',
  needsDocker: true,
  async run({ host, docker, quick, say }) {
    const bench = await openCore(host, oneWarm);
    try {
      const running = await bench.core.sessions.create({ agent: 'shell', permissions: 'allow' }, 'bench', soon());
      await untilWarm(bench.core);
      await runTrue(bench.core, running.id);
      const contenders: Contender[] = [
        { name: 'berth', measureMs: () => claimOnce(bench.core) },
        { name: 'command', measureMs: () => timed(() => runTrue(bench.core, running.id)) },
      ];
      if ('argv' in docker) {
        contenders.push(
          commandContender('docker', [...docker.argv, 'run', '--rm', docker.image, 'true']),
          commandContender('docker confined', [...docker.argv, 'run', '--rm', ...docker.confined, docker.image, 'true']),
        );
      }
      say(`claim: ${contenders.map(({ name }) => name).join(', ')}`);
      const samples = await compare(contenders, { warmUp: 3, rounds: quick ? 6 : 40, pauseMs: 100 });
      const berth = samples.get('berth')!;
      const { claims } = await bench.core.pool.overview();
      if (claims.cold > 0) throw new Error(`${claims.cold} of the claims found nothing warm`);
      const rows: Row[] = [
        limitRow(what, berth, goalMs),
        ratioRow(what, berth, 'a command in a sandbox that the session has already', samples.get('command')!, null),
      ];
      if ('reason' in docker) return [...rows, skippedRow(what, '`docker run --rm`', docker.reason)];
      return [
        ...rows,
        ratioRow(what, berth, '`docker run --rm`', samples.get('docker')!, goalRatio),
        ratioRow(what, berth, '`docker run --rm`, same limits, no network', samples.get('docker confined')!, goalRatio),
      ];
    } finally {
      await bench.core.close();
      for (const sandbox of await host.provider.list({ signal: soon() })) await host.destroy(sandbox.id);
      await bench.close();
    }
  },
};

export const oneWarm = { warm: { count: 1, preclone: [], mirrorConnected: false } };

/** From a session without a sandbox to its first command's end. The warm one has been ready for a moment. */
export async function claimOnce(core: Core): Promise<number> {
  await untilWarm(core);
  const { id } = await core.sessions.create({ agent: 'shell', permissions: 'allow' }, 'bench', soon());
  await sleep(settleMs);
  const tookMs = await timed(() => runTrue(core, id));
  await core.sessions.delete(id, 'owner');
  return tookMs;
}

export async function untilWarm(core: Core): Promise<void> {
  for (const signal = soon(); ; await sleep(20)) {
    const { ready, held } = (await core.pool.overview()).warm;
    if (ready > 0) return;
    if (signal.aborted) throw new Error(`no sandbox gets warm: ${held ?? 'no reason is told'}`);
  }
}

export async function runTrue(core: Core, sessionId: string): Promise<void> {
  const { exitCode } = await core.sessions.withRunner(sessionId, soon(), (runner) => runner.exec({ argv: ['true'] }, soon()));
  if (exitCode !== 0) throw new Error(`true ended with ${exitCode}`);
}

/** Until what the creation of the session set off is over. */
const settleMs = 50;
