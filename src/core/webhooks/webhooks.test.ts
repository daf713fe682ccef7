import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { webhookPayload, type CreateTurnRequest } from '../../protocol/api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { Store } from '../ports/store.ts';
import { createWorld, testWebhookSecret, type World } from '../testing/doubles.ts';
import { createVirtualClock, type VirtualClock } from '../testing/virtual-clock.ts';
import { signWebhook } from './sign-webhook.ts';

const hour = 60 * 60_000;
const url = 'https://example.org/hook';
let store: Store;
let world: World;
let core: Core;
let clock: VirtualClock;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  clock = createVirtualClock(new Date().toISOString());
  world = createWorld(store, {}, clock);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
});
afterEach(async () => {
  await core.close();
  await store.close();
});

async function startedTurn(more: Partial<CreateTurnRequest> = {}): Promise<string> {
  const { id } = await core.sessions.create({ agent: 'any', permissions: 'ask' }, 'ada', AbortSignal.timeout(5_000));
  const { turn } = await core.sessions.prompt(id, { prompt: 'go', webhookOnReady: url, ...more }, 'ada');
  await clock.runUntil(() => world.started.includes(turn.id));
  return turn.id;
}

const webhookOf = (turnId: string, event = 'started') => store.read.webhook(`msg_${turnId}_${event}`);

test('when the turn starts, its address is told once, signed as the scheme says', async () => {
  const turnId = await startedTurn();
  await clock.runUntil(() => world.sent.length === 1);
  await clock.pass(hour);
  expect(world.sent).toHaveLength(1);
  const [{ headers, body, ...rest }] = world.sent as [(typeof world.sent)[number]];
  expect(rest.url).toBe(url);
  expect(webhookPayload.parse(JSON.parse(body))).toMatchObject({
    type: 'turn.started',
    data: { turnId, startedAt: expect.any(String), endedAt: null },
  });
  expect(() => new Webhook(testWebhookSecret).verify(body, headers)).not.toThrow();
  const key = Buffer.from(testWebhookSecret.slice('whsec_'.length), 'base64');
  const signed = createHmac('sha256', key).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`);
  expect(headers['webhook-signature']).toBe(`v1,${signed.digest('base64')}`);
  expect(await webhookOf(turnId)).toMatchObject({ state: 'delivered', attempts: 1, lastError: null });
});

test('the signature is that of the specification', () => {
  // The example of the scheme's own libraries.
  const at = new Date(1_614_265_330_000);
  const headers = signWebhook(
    'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    'msg_p5jXN8AQM9LWM0D4loKWxJek',
    at,
    '{"test": 2432232314}',
  );
  expect(headers['webhook-signature']).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
});

test('the end is told to who asked for it, and nothing to who asked for nothing', async () => {
  const both = await startedTurn({ webhookEvents: ['turn.started', 'turn.completed', 'turn.failed'] });
  world.endTurn(both);
  await clock.runUntil(() => world.sent.length === 2);
  expect(world.sent.map((each) => each.headers['webhook-id'])).toEqual([
    `msg_${both}_started`,
    `msg_${both}_completed`,
  ]);
  const none = await startedTurn({ webhookEvents: [] });
  world.endTurn(none);
  await clock.pass(hour);
  expect(world.sent).toHaveLength(2);
});

test('it is tried again with growing waits under one id, and given up after so many', async () => {
  const times: number[] = [];
  world.answerWebhook = () => {
    times.push(clock.now().getTime());
    if (times.length === 1) throw new BerthError('unavailable', 'no answer');
    return { status: 500 };
  };
  const turnId = await startedTurn();
  await clock.runUntil(async () => (await webhookOf(turnId))?.state === 'dead', 100 * hour);
  expect(await webhookOf(turnId)).toMatchObject({ attempts: 10, lastError: 'HTTP 500' });
  expect(new Set(world.sent.map((each) => each.headers['webhook-id'])).size).toBe(1);
  const waits = times.slice(1).map((time, at) => time - times[at]!);
  waits.forEach((waitMs, at) => {
    const fullMs = Math.min(10_000 * 2 ** at, 6 * hour);
    expect(waitMs).toBeGreaterThanOrEqual(fullMs / 2);
    expect(waitMs).toBeLessThanOrEqual(fullMs + 1000);
  });
  await clock.pass(hour);
  expect(times).toHaveLength(10);
});

test.each([
  ['gone', () => ({ status: 410 })],
  [
    'a private address',
    () => {
      throw new BerthError('forbidden', 'not a public address');
    },
  ],
])('%s ends it at once', async (_name, answer) => {
  world.answerWebhook = answer;
  const turnId = await startedTurn();
  await clock.runUntil(async () => (await webhookOf(turnId))?.state === 'dead');
  expect(world.sent).toHaveLength(1);
});

test('what was under way when the server died is sent by the next one', async () => {
  world.answerWebhook = () => {
    throw new BerthError('unavailable', 'not now');
  };
  const turnId = await startedTurn();
  await clock.runUntil(() => world.sent.length === 1);
  await core.close();
  world.answerWebhook = () => ({ status: 204 });
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
  await clock.runUntil(async () => (await webhookOf(turnId))?.state === 'delivered');
  expect(world.sent.map((each) => each.headers['webhook-id'])).toEqual([
    `msg_${turnId}_started`,
    `msg_${turnId}_started`,
  ]);
});
