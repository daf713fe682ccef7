import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { orderQueue } from '../../src/core/turns/queue-order.ts';
import { defaultQueueSettings } from '../../src/core/turns/queue-settings.ts';
import { toQueueState } from '../../src/core/turns/queue-state.ts';
import type { Priority } from '../../src/protocol/api.ts';
import { createBerthClient, type BerthClient } from '../../src/sdk/index.ts';
import { givenToken } from '../../src/core/testing/accounts.ts';
import { createSqliteStore } from '../../src/store/sqlite.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents } from './scripted.ts';

/**
 * Turns of ten owners and three priorities on five slots, in real sandboxes. All queue up behind five that hold the slots, so
 * that the order is settled before the first starts; then what was said is compared with what came. The holders have an agent of
 * their own, by whose length no other turn is estimated.
 */
const turnCount = Number(process.env['BERTH_TEST_TURNS'] ?? 20);
const slots = 5;
const measured = 3;
const shellAgent = ['/berth/runner/bin/node', '/berth/runner/shell-agent.mjs'];
const owners = Array.from({ length: 10 }, (_, at) => `owner-${at}`);
const levels: readonly Priority[] = ['premium', 'normal', 'background'];
const testTimeoutMs = 60_000 + turnCount * 5_000;

interface Asked {
  sessionId: string;
  turnId: string;
  lastSeq: number;
}

let installation: TestInstallation;
let server: TestServer;
const clients = new Map<string, BerthClient>();

beforeAll(async () => {
  // Each third owner has a class of its own; the others name one.
  const priorities = owners.map((owner, at) => `${owner}=${levels[at % levels.length]}`).join(',');
  installation = await createInstallation({ BERTH_SLOTS: String(slots), BERTH_PRIORITIES: priorities });
  const tokens = new Map<string, string>();
  const store = await createSqliteStore({ path: join(installation.dataDir, 'berth.db') });
  for (const owner of [...owners, 'holder']) tokens.set(owner, await givenToken(store, owner));
  await store.close();
  server = await installation.start();
  for (const [owner, token] of tokens) clients.set(owner, createBerthClient({ baseUrl: server.url, token }));
});

afterAll(() => installation.remove());

test(`${turnCount} turns from ${owners.length} owners of three priorities on ${slots} slots`, { timeout: testTimeoutMs }, async () => {
  // So that there is something to estimate by.
  for (let at = 0; at < measured; at += 1) {
    const { sessionId, turnId } = await ask('holder', 'sleep 0.2');
    await server.client.sessions.waitForTurn(sessionId, turnId);
  }
  const holders: Asked[] = [];
  for (let at = 0; at < slots; at += 1) {
    holders.push(await ask('holder', 'while [ ! -e ../go ]; do sleep 0.1; done', { agent: 'holder', agentCommand: shellAgent }));
  }
  await expect.poll(async () => (await server.client.queue()).running, { timeout: 60_000 }).toBe(slots);

  const asked: Asked[] = [];
  for (let at = 0; at < turnCount; at += 1) {
    const owner = owners[at % owners.length]!;
    // Every second round the user's own priority counts, else the request's.
    const own = Math.floor(at / owners.length) % 2 === 0;
    const priority = own ? {} : { priority: levels[Math.floor(at / 3) % levels.length]! };
    asked.push(await ask(owner, 'sleep 0.2', { agent: 'shell' }, priority));
  }
  const { queued } = await server.client.queue();
  const foreseen = queued.map(({ turnId }) => turnId);
  expect(new Set(foreseen)).toEqual(new Set(asked.map(({ turnId }) => turnId)));
  expect(queued.map(({ position }) => position)).toEqual(queued.map((_, at) => at + 1));
  for (const each of asked) each.lastSeq = (await server.client.sessions.get(each.sessionId)).lastSeq;

  const beganMs = Date.now();
  for (const { sessionId } of holders) {
    await server.client.sessions.exec(sessionId, { argv: ['touch', '../go'] });
  }
  for (let waiting = turnCount; waiting > 0; ) {
    const overview = await server.client.queue();
    waiting = overview.queued.length;
    expect(overview.running).toBeLessThanOrEqual(slots);
    const waits = overview.queued.map(({ estimatedWaitSeconds }) => estimatedWaitSeconds);
    expect(waits).toEqual(waits.toSorted((a, b) => a - b));
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  for (const { sessionId, turnId } of [...holders, ...asked]) {
    expect(await server.client.sessions.waitForTurn(sessionId, turnId)).toMatchObject({ state: 'completed', error: null });
  }
  const tookMs = Date.now() - beganMs;
  const pool = await server.client.pool();
  console.log(
    `${turnCount} turns in ${(tookMs / 1000).toFixed(1)} s, ${Math.round(tookMs / turnCount)} ms each; ` +
      `${pool.evictions} evictions; estimates ${pool.estimate.meanAbsoluteErrorSeconds} s off by ${pool.estimate.count} turns`,
  );

  const { asSpecified, asStarted } = await orders();
  expect(asStarted).toEqual(asSpecified);
  expect(asStarted).toEqual(foreseen);
  for (const { sessionId, turnId, lastSeq } of asked) {
    // Once nobody joins any more a place only ever gets better.
    const told = (await allEvents(server.client, sessionId)).filter(({ seq }) => seq > lastSeq);
    const places = told.flatMap((event) => (event.type === 'turn.position' ? [event.data.position] : []));
    expect(places).toEqual(places.toSorted((a, b) => b - a));
    expect(told.filter((event) => event.type === 'turn.ended' && event.turnId === turnId)).toHaveLength(1);
  }
});

async function ask(
  owner: string,
  script: string,
  agent: { agent: string; agentCommand?: string[] } = { agent: 'shell' },
  more: { priority?: Priority } = {},
): Promise<Asked> {
  const client = clients.get(owner)!;
  const { id } = await client.sessions.create({ ...agent, permissions: 'allow' });
  const { turnId } = await client.sessions.prompt(id, { prompt: script, ...more });
  return { sessionId: id, turnId, lastSeq: 0 };
}

/** The turns behind the holders: as they must start by the policy, and as they got their slots by the store. */
async function orders(): Promise<{ asSpecified: string[]; asStarted: string[] }> {
  await server.stop();
  const store = await createSqliteStore({ path: join(installation.dataDir, 'berth.db') });
  try {
    const claimed = (await store.read.latestClaimedTurns(turnCount + slots)).toReversed();
    expect(claimed.map(({ attempts }) => attempts)).toEqual(claimed.map(() => 1));
    const turns = claimed.filter(({ owner }) => owner !== 'holder');
    const { waiting } = toQueueState(turns, [], 0);
    const lastMs = Math.max(...waiting.map(({ queuedAtMs }) => queuedAtMs));
    const specified = orderQueue(waiting, [], defaultQueueSettings.order, lastMs);
    return { asSpecified: specified.map(({ id }) => id), asStarted: turns.map(({ id }) => id) };
  } finally {
    await store.close();
    const { url, token } = (server = await installation.start());
    for (const owner of clients.keys()) clients.set(owner, createBerthClient({ baseUrl: url, token }));
  }
}
