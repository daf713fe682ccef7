import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BudgetLimits, UserBudget } from '../../protocol/budget.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { Clock } from '../ports/clock.ts';
import type { ModelCallUsage } from '../ports/model-meter.ts';
import type { Store } from '../ports/store.ts';
import { givenToken } from '../testing/accounts.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import { createPriceTable } from '../usage/price-table.ts';
import { createUsageMeter, type UsageMeter } from '../usage/usage-meter.ts';
import { createBudgetGate } from './budget-gate.ts';
import { limitsOf } from './limits.ts';

let store: Store;
let world: World;
let core: Core;
let meter: UsageMeter;
const calls: AbortController[] = [];

const call: ModelCallUsage = {
  api: 'anthropic',
  model: 'claude-a',
  inputTokens: 60,
  outputTokens: 40,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  estimated: false,
};

async function boot(serverBudget: UserBudget = {}): Promise<void> {
  world = createWorld(store, { serverBudget });
  const { clock, logger } = world.deps;
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
  const prices = createPriceTable({ models: { 'claude*': { input: 10_000, output: 10_000 } } });
  // A call that is held looks again when its session has an event, and meanwhile not at all.
  const patient: Clock = {
    ...clock,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) resolve();
        signal?.addEventListener('abort', () => resolve(), { once: true });
      }),
  };
  meter = createUsageMeter({ store, clock, logger, prices, gate: createBudgetGate({ store, clock: patient, serverBudget }) });
}

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  await givenToken(store, 'root');
  await givenToken(store, 'ada', { role: 'member' });
});
afterEach(async () => {
  for (const each of calls.splice(0)) each.abort();
  await core.close();
  await store.close();
});

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(condition, { timeout: 10_000, interval: 2 }).toBe(true);
}

async function atWork(budget?: BudgetLimits) {
  const { id } = await core.sessions.create(
    { agent: 'any', permissions: 'ask', ...(budget === undefined ? {} : { budget }) },
    'ada',
    AbortSignal.timeout(5_000),
  );
  const { turn } = await core.sessions.prompt(id, { prompt: 'work' }, 'ada');
  await until(async () => (await core.sessions.turn(id, turn.id)).state === 'running');
  return { id, turnId: turn.id };
}

/** A whole model call of 100 tokens and a dollar. */
async function useModel(id: string, change: Partial<ModelCallUsage> = {}): Promise<void> {
  await (await begin(id)).end({ ...call, ...change });
}

function begin(id: string) {
  const signal = new AbortController();
  calls.push(signal);
  return meter.begin(id, signal.signal);
}

const question = async (id: string) => (await core.budgets.ofSession(id)).requestId;
async function asked(id: string): Promise<string> {
  await until(async () => (await question(id)) !== null);
  return (await question(id))!;
}
const types = async (id: string) => (await store.read.events(id, 0, 500)).map((event) => event.type);

describe('a reached budget', () => {
  test('holds the next call and asks once; raised, the call goes on and the limit is higher by what was said', async () => {
    await boot();
    const { id, turnId } = await atWork({ usd: 1.5 });
    await useModel(id);
    await useModel(id);
    let passed = 0;
    const held = [begin(id), begin(id)].map((each) => each.then(() => (passed += 1)));
    const requestId = await asked(id);
    expect((await core.sessions.get(id)).status).toBe('asking');
    expect(passed).toBe(0);
    const record = (await store.read.permission(id, requestId))!;
    expect(record.toolCall['title']).toBe('The budget of this session is used up: $2.00 of $1.50');
    expect(record.options.map((each) => [each.optionId, each.name])).toEqual([
      ['raise', 'Raise it by $1.50'],
      ['raise_quarter', 'Raise it by $0.3750'],
      ['stop', 'Stop this turn'],
    ]);
    await core.sessions.answerPermission(id, requestId, 'raise_quarter', 'ada');
    await Promise.all(held);
    const { limits } = await core.budgets.ofSession(id);
    expect(limits.find((each) => each.measure === 'usd')).toEqual({ scope: 'session', measure: 'usd', limit: 2.375, used: 2, reached: false });
    expect((await core.sessions.get(id)).status).toBe('running');
    expect((await types(id)).filter((type) => /^(budget|permission)/.test(type))).toEqual([
      'budget.reached',
      'permission.requested',
      'budget.raised',
      'permission.resolved',
    ]);
    const audit = await store.read.audit({ action: 'budget.*', order: 'oldest', limit: 9 });
    expect(audit.map(({ actor, action }) => [actor, action])).toEqual([
      ['server', 'budget.reached'],
      ['user:ada', 'budget.raised'],
    ]);
    await expect(core.sessions.answerPermission(id, requestId, 'raise', 'ada')).rejects.toMatchObject({ code: 'conflict' });
    world.endTurn(turnId);
  });

  test('stopped, the held call is refused without a second question, and the turn is told to end', async () => {
    await boot();
    const { id, turnId } = await atWork({ tokens: 100 });
    await useModel(id);
    const held = begin(id);
    await core.sessions.answerPermission(id, await asked(id), null, 'ada');
    await expect(held).rejects.toMatchObject({ code: 'budget_reached' });
    await expect(begin(id)).rejects.toMatchObject({ code: 'budget_reached' });
    expect((await core.sessions.waitForTurn(id, turnId, AbortSignal.timeout(5_000))).state).toBe('cancelled');
    // Between turns nobody can be asked.
    await expect(begin(id)).rejects.toMatchObject({ code: 'budget_reached' });
    expect(await question(id)).toBeNull();
  });

  test('that nobody answers in time stops the turn', async () => {
    await boot();
    const { id } = await core.sessions.create({ agent: 'any', permissions: 'ask', budget: { tokens: 1 }, permissionTimeoutSeconds: 1 }, 'ada', AbortSignal.timeout(5_000));
    const { turn } = await core.sessions.prompt(id, { prompt: 'work' }, 'ada');
    await until(async () => (await core.sessions.turn(id, turn.id)).state === 'running');
    await useModel(id);
    const held = begin(id);
    const requestId = await asked(id);
    await expect(held).rejects.toMatchObject({ code: 'budget_reached' });
    expect(await store.read.permission(id, requestId)).toMatchObject({ state: 'expired', answeredBy: null });
    expect((await core.sessions.waitForTurn(id, turn.id, AbortSignal.timeout(5_000))).state).toBe('cancelled');
  });

  test('goes on when the limit itself is changed, and its question closes with its turn', async () => {
    await boot();
    const { id, turnId } = await atWork({ tokens: 100 });
    await useModel(id);
    const held = begin(id);
    await asked(id);
    await core.sessions.update(id, { budget: { tokens: 150 } }, 'ada');
    await (await held).end(call);
    const again = begin(id);
    const requestId = await asked(id);
    world.endTurn(turnId);
    await expect(again).rejects.toMatchObject({ code: 'budget_reached' });
    expect(await store.read.permission(id, requestId)).toMatchObject({ state: 'cancelled' });
  });

  test("of a user is over all their sessions, set for others by the owner alone, and the owner's to raise", async () => {
    await boot({ day: { turns: 5 } });
    await core.budgets.setOfUser('ada', { user: { tokens: 150 } }, 'root');
    const [one, two] = [await atWork(), await atWork()];
    await useModel(one.id);
    await useModel(two.id);
    const held = begin(one.id);
    const requestId = await asked(one.id);
    await expect(core.sessions.answerPermission(one.id, requestId, 'raise', 'ada')).rejects.toMatchObject({ code: 'forbidden' });
    await core.sessions.answerPermission(one.id, requestId, 'raise', 'root');
    await held;
    const { limits } = await core.budgets.ofSession(two.id);
    expect(limits.map(({ scope, measure, limit, used }) => [scope, measure, limit, used])).toEqual([
      ['user', 'tokens', 350, 200],
      ['day', 'turns', 5, 2],
    ]);
    for (const { turnId } of [one, two]) world.endTurn(turnId);
  });

  test('in dollars asks about models without a price, which it cannot count', async () => {
    await boot();
    const { id, turnId } = await atWork({ usd: 100 });
    await useModel(id, { model: 'nobody-knows' });
    const held = begin(id);
    const requestId = await asked(id);
    expect((await store.read.permission(id, requestId))!.toolCall['title']).toContain('without a price');
    await core.sessions.answerPermission(id, requestId, 'raise', 'ada');
    await held;
    world.endTurn(turnId);
  });

  test('in turns lets the last one go on', async () => {
    await boot();
    const { id, turnId } = await atWork({ turns: 1 });
    await useModel(id);
    await useModel(id);
    world.endTurn(turnId);
    await core.sessions.waitForTurn(id, turnId, AbortSignal.timeout(5_000));
    await core.sessions.prompt(id, { prompt: 'more' }, 'ada');
    await until(() => world.started.length === 2);
    const held = begin(id);
    await core.sessions.answerPermission(id, await asked(id), 'raise', 'ada');
    await held;
    world.endTurn(world.started[1]!);
  });
});

test('the nearest limit counts for each measure', () => {
  const session = { id: 'ses_1', owner: 'ada', budget: { usd: 2 } };
  const server = { session: { usd: 1, turns: 10 }, day: { minutes: 5 } };
  const user = { session: { turns: 20 }, day: { minutes: 1 } };
  const found = limitsOf(session, user, server, '2026-11-29');
  expect(found.map(({ scope, subject, day, measure, limit }) => [scope, subject, day, measure, limit])).toEqual([
    ['session', 'ses_1', '', 'usd', 2e9],
    ['session', 'ses_1', '', 'turns', 20],
    ['session', 'ses_1', '', 'unpriced', 0],
    ['day', 'ada', '2026-11-29', 'minutes', 60_000],
  ]);
});
