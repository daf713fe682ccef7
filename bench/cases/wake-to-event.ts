import type { Core } from '../../src/core/create-core.ts';
import type { Store } from '../../src/core/ports/store.ts';
import { openCore } from '../core.ts';
import { soon } from '../host.ts';
import { compare } from '../measure.ts';
import { limitRow, ratioRow, skippedRow } from '../table.ts';
import type { BenchCase } from './case.ts';

const what = "prompt to the agent's first event, from a hibernated session";
const goalMs = 1000;

/**
 * From a prompt to the first thing that the agent says, as the log has it: with the session hibernated, its agent in the
 * memory image, and with the session awake. The agent is `shell`, which says something at once, so that what is measured is Berth.
 */
export const wakeToEvent: BenchCase = {
  name: 'wake-to-event',
  needsDocker: false,
  async run({ host, quick, say }) {
    if (host.provider.capabilities.hibernate === 'none') {
      return [skippedRow(what, '-', 'no CRIU: scripts/setup.sh fetches it')];
    }
    const bench = await openCore(host, {});
    try {
      const { core, deps } = bench;
      const { id } = await core.sessions.create({ agent: 'shell', permissions: 'allow' }, 'bench', soon());
      const prompted = () => untilAgentSpoke(core, deps.store, id);
      await prompted();
      say('wake-to-event: hibernated, awake');
      const samples = await compare(
        [
          {
            name: 'hibernated',
            async measureMs() {
              await core.sessions.rest(id, 'hibernate', 'owner');
              return prompted();
            },
          },
          { name: 'awake', measureMs: prompted },
        ],
        { warmUp: 1, rounds: quick ? 4 : 20, pauseMs: 200 },
      );
      const berth = samples.get('hibernated')!;
      return [
        limitRow(what, berth, goalMs),
        ratioRow(what, berth, 'the same from a session that is awake', samples.get('awake')!, null),
      ];
    } finally {
      await bench.core.close();
      for (const sandbox of await host.provider.list({ signal: soon() })) await host.destroy(sandbox.id);
      await bench.close();
    }
  },
};

/** Resolves, when the turn has ended too, to how long the agent's first event took to be in the log. */
async function untilAgentSpoke(core: Core, store: Store, id: string): Promise<number> {
  const { lastSeq } = await core.sessions.get(id);
  const startedAt = performance.now();
  const spoke = new Promise<number>((resolve, reject) => {
    const stop = store.onEvents((sessionId) => {
      if (sessionId !== id) return;
      store.read.events(id, lastSeq, 100).then((events) => {
        if (!events.some((event) => event.type === 'agent.update')) return;
        stop();
        resolve(performance.now() - startedAt);
      }, reject);
    });
  });
  const { turn } = await core.sessions.prompt(id, { prompt: 'echo here' }, 'bench');
  const tookMs = await spoke;
  await core.sessions.waitForTurn(id, turn.id, soon());
  return tookMs;
}
