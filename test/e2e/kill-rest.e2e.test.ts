import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BerthClient, Session } from '../../src/sdk/index.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';

/** Kills in the middle of each operation in turn; `BERTH_TEST_KILLS=50` for the long run. */
const kills = Number(process.env['BERTH_TEST_KILLS'] ?? 3);
const longestLifeMs = 400;

let installation: TestInstallation;
let server: TestServer;

beforeAll(async () => {
  installation = await createInstallation({ BERTH_SLOTS: '3' });
  server = await installation.start();
});
afterAll(() => installation.remove());

/** What the server is killed in the middle of; whether it was told to be done is unknown. */
const operations: Record<string, (client: BerthClient, id: string, round: number) => Promise<unknown>> = {
  hibernate: (client, id) => client.sessions.rest(id, 'hibernate'),
  fork: (client, id) => client.sessions.fork(id, { count: 2 }),
  snapshot: (client, id, round) => client.snapshots.create(id, { name: `round-${round}` }),
  wake: (client, id) => client.sessions.wake(id),
  archive: (client, id) => client.sessions.rest(id, 'archive'),
};
/** What a session is before each, where that is not running. */
const before: Record<string, (client: BerthClient, id: string) => Promise<unknown>> = {
  wake: (client, id) => client.sessions.rest(id, 'hibernate'),
};

const timeout = 60_000 + kills * 15_000;
test(`${kills} times kill -9 in the middle of rest, wake, snapshot and fork: nothing lost, stuck or half there`, { timeout }, async () => {
  const { id } = await server.client.sessions.create({ agent: 'shell' });
  await run(id, 'echo kept > ~/kept');
  for (let round = 0; round < kills; round += 1) {
    const names = Object.keys(operations);
    const name = names[round % names.length]!;
    await before[name]?.(server.client, id);
    const life = delay(Math.random() * longestLifeMs);
    const answer = operations[name]!(server.client, id, round).then(
      () => 'done',
      () => 'lost',
    );
    await life;
    await server.kill();
    const told = await answer;
    server = await installation.start();
    const { client } = server;

    const settled = await client.sessions.get(id);
    expect(['idle', 'paused', 'hibernated', 'stopped'], `after ${name} ${round}`).toContain(settled.status);
    expect(await run(id, 'cat ~/kept')).toBe('kept');

    // All or none, and what is there is whole.
    const forks = (await client.sessions.list()).filter((each: Session) => each.id !== id);
    expect([0, 2]).toContain(forks.length);
    if (told === 'done' && name === 'fork') expect(forks).toHaveLength(2);
    for (const fork of forks) {
      expect(await run(fork.id, 'cat ~/kept')).toBe('kept');
      await client.sessions.delete(fork.id);
    }
    const snapshots = await client.snapshots.list();
    if (told === 'done' && name === 'snapshot') expect(snapshots).toHaveLength(1);
    for (const snapshot of snapshots) {
      const [made] = await client.snapshots.fork(snapshot.id);
      expect(await run(made!.id, 'cat ~/kept')).toBe('kept');
      await client.sessions.delete(made!.id);
      await client.snapshots.delete(snapshot.id);
    }
  }
});

async function run(id: string, script: string): Promise<string> {
  const { stdout } = await server.client.sessions.exec(id, { argv: ['sh', '-c', script] });
  return new TextDecoder().decode(stdout).trim();
}
