import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SessionEvent } from '../../src/protocol/events.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, scriptedSession, textOf } from './scripted.ts';

/** `scripts/soak.sh kills` makes many more. */
const kills = 12;
const sessionCount = 3;
const longestLifeMs = 1_500;
const stepsPerTurn = 8;

let installation: TestInstallation;
let server: TestServer;

beforeAll(async () => {
  installation = await createInstallation({ BERTH_SLOTS: String(sessionCount) });
  server = await installation.start();
});

afterAll(() => installation.remove());

/** Known words in a known order, over about a second, with a command in between. */
function script(turn: string): { prompt: string; words: string[] } {
  const words = Array.from({ length: stepsPerTurn }, (_, step) => `[${turn}.${step}]`);
  const prompt = words.flatMap((word, step) => [`say ${word}`, step === 3 ? 'bash sleep 0.3; echo done' : 'sleep 80']).join('\n');
  return { prompt, words };
}

test(`${kills} times kill -9 in the middle of turns: every event once and in order, every turn ends`, async () => {
  const sessions = [];
  for (let index = 0; index < sessionCount; index += 1) sessions.push(await scriptedSession(server.client));
  const asked = new Map<string, Map<string, string[]>>(sessions.map(({ id }) => [id, new Map()]));

  for (let round = 0; round < kills; round += 1) {
    const { id } = sessions[round % sessionCount]!;
    const { prompt, words } = script(`r${round}`);
    const idempotencyKey = `round-${round}`;
    const life = delay(Math.random() * longestLifeMs);
    // The answer may be lost with the server; asking again under the same key must not make a second turn.
    const first = server.client.sessions.prompt(id, { prompt, idempotencyKey }).catch(() => null);
    await life;
    await server.kill();
    await first;
    server = await installation.start();
    const { turnId } = await server.client.sessions.prompt(id, { prompt, idempotencyKey });
    asked.get(id)!.set(turnId, words);
  }

  for (const { id } of sessions) {
    for (const turnId of asked.get(id)!.keys()) {
      const turn = await server.client.sessions.waitForTurn(id, turnId);
      expect(turn).toMatchObject({ state: 'completed', error: null });
    }
    const events = await allEvents(server.client, id);
    expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
    expect((await server.client.sessions.turns(id)).map((turn) => turn.id)).toEqual([...asked.get(id)!.keys()]);
    for (const [turnId, words] of asked.get(id)!) checkTurn(events.filter((event) => event.turnId === turnId), words);
  }
});

function checkTurn(events: SessionEvent[], words: string[]): void {
  const count = (type: SessionEvent['type']) => events.filter((event) => event.type === type).length;
  expect([count('turn.queued'), count('turn.started'), count('turn.ended')]).toEqual([1, 1, 1]);
  expect(events.at(-1)?.type).toBe('turn.ended');
  expect(textOf(events).match(/\[r\d+\.\d\]/g)).toEqual(words);
}

test('the runner goes on while the server is gone', async () => {
  const { id } = await scriptedSession(server.client);
  const { turnId } = await server.client.sessions.prompt(id, 'say before\nsleep 700\nsay after');
  for await (const event of server.client.sessions.events(id)) {
    if (event.type === 'agent.update' && textOf([event]).includes('before')) break;
  }
  await server.kill();
  const killedAt = Date.now();
  await delay(2_000);
  const restartedAt = Date.now();
  server = await installation.start();
  const turn = await server.client.sessions.waitForTurn(id, turnId);
  expect(turn.state).toBe('completed');
  const endedAt = Date.parse(turn.endedAt!);
  expect(endedAt).toBeGreaterThan(killedAt);
  expect(endedAt).toBeLessThan(restartedAt);
});
