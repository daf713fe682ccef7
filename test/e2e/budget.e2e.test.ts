import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isBudgetQuestion } from '../../src/protocol/budget.ts';
import { createModelServer } from '../fixtures/model-server/index.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, textOf } from './scripted.ts';

let model: Awaited<ReturnType<typeof createModelServer>>;
let installation: TestInstallation;
let server: TestServer;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-budget-'));
  const prices = join(directory, 'prices.json');
  await writeFile(prices, JSON.stringify({ models: { '*': { input: 1000, output: 1000 } } }));
  model = await createModelServer({
    key: 'sk-model',
    script: {
      rules: [
        {
          when: { prompt: /go on/ },
          steps: [
            { usage: { inputTokens: 900, outputTokens: 100 } },
            { tool: 'bash', command: 'echo one > one.txt' },
            { usage: { inputTokens: 900, outputTokens: 100 } },
            { tool: 'bash', command: 'echo two > two.txt' },
            { text: 'All steps are done.' },
          ],
        },
      ],
    },
  });
  installation = await createInstallation({
    BERTH_SLOTS: '1',
    BERTH_PRICES: prices,
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: 'sk-model',
  });
  server = await installation.start();
});

afterAll(async () => {
  await installation?.remove();
  await model?.close();
  await rm(directory, { recursive: true, force: true });
});

test('a budget that is used up in the middle of a turn asks, outlives the server, and lets the turn go on', async () => {
  const { id } = await server.client.sessions.create({ agent: 'claude', permissions: 'allow', budget: { usd: 0.5 } });
  const { turnId } = await server.client.sessions.prompt(id, 'Please go on.');

  const asked = await nextQuestion(server, id);
  expect(asked.toolCall['title']).toContain('The budget of this session is used up');
  expect((await server.client.sessions.get(id)).status).toBe('asking');
  const budget = await server.client.budgets.ofSession(id);
  expect(budget).toMatchObject({ own: { usd: 0.5 }, requestId: asked.requestId });
  expect(budget.limits.find((each) => each.measure === 'usd')).toMatchObject({ scope: 'session', limit: 0.5, reached: true });
  const before = await server.client.usage.report({ session: id, by: ['turn'] });
  expect(before.rows.find((row) => row.turn === turnId)!.costUsd).toBeGreaterThanOrEqual(0.5);

  await server.kill();
  server = await installation.start();
  // What was used is neither lost nor doubled, and the question is still the one that was asked.
  expect((await server.client.usage.report({ session: id, by: ['turn'] })).total).toEqual(before.total);
  expect((await server.client.budgets.ofSession(id)).requestId).toBe(asked.requestId);
  expect((await server.client.sessions.get(id)).status).toBe('asking');

  // A raise is enough for one more call each: the turn asks until it may end.
  const answered = new Set<string>();
  for await (const event of server.client.sessions.events(id, { from: 0 })) {
    if (event.type === 'turn.ended' && event.turnId === turnId) break;
    if (event.type !== 'permission.requested' || !isBudgetQuestion(event.data.requestId)) continue;
    answered.add(event.data.requestId);
    await server.client.sessions.answerPermission(id, event.data.requestId, 'raise');
  }
  expect(await server.client.sessions.waitForTurn(id, turnId)).toMatchObject({ state: 'completed', error: null });
  expect(answered.has(asked.requestId)).toBe(true);

  const events = await allEvents(server.client, id);
  expect(textOf(events)).toContain('All steps are done.');
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
  const told = events.filter((event) => event.type === 'budget.reached');
  expect(told).toHaveLength(answered.size);
  expect(events.filter((event) => event.type === 'budget.raised')).toHaveLength(answered.size);
  expect((await server.client.sessions.diff(id)).files.map(({ path }) => path)).toEqual(['one.txt', 'two.txt']);

  // A second turn meets the same limit again; stopping it there ends the turn and not the session.
  await server.client.sessions.update(id, { budget: { turns: 1 } });
  const second = await server.client.sessions.prompt(id, 'Please go on.');
  const { requestId } = await nextQuestion(server, id, asked.requestId);
  await server.client.sessions.answerPermission(id, requestId, 'stop');
  expect((await server.client.sessions.waitForTurn(id, second.turnId)).state).toBe('cancelled');
  expect((await server.client.sessions.get(id)).status).toBe('idle');
  await server.client.sessions.delete(id);
  expect((await server.client.usage.report({ session: id })).total.calls).toBeGreaterThan(2);
});

async function nextQuestion({ client }: TestServer, id: string, except?: string) {
  for await (const event of client.sessions.events(id, { from: 0 })) {
    if (event.type !== 'permission.requested' || !isBudgetQuestion(event.data.requestId)) continue;
    if (except !== undefined && (await client.budgets.ofSession(id)).requestId !== event.data.requestId) continue;
    return event.data;
  }
  throw new Error('the log ended');
}
