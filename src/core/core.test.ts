import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BerthError } from '../protocol/errors.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import { createCore, type Core } from './create-core.ts';
import type { Store } from './ports/store.ts';
import { createWorld, type World } from './testing/doubles.ts';
import { openTurnStates } from './turns/turn-states.ts';

let store: Store;
let world: World;
let core: Core;

async function boot(slots = 2): Promise<void> {
  world = createWorld(store, { slots });
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
}

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
});

afterEach(async () => {
  await core.close();
  await store.close();
});

const newSession = () => core.sessions.create({ agent: 'any', permissions: 'ask' }, 'ada', AbortSignal.timeout(5_000));
const prompt = (id: string, text: string, more = {}) => core.sessions.prompt(id, { prompt: text, ...more }, 'ada');

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('the condition never came true');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const ended = (sessionId: string, turnId: string) => core.sessions.waitForTurn(sessionId, turnId, AbortSignal.timeout(10_000));

describe('turns', () => {
  test('a session runs one turn at a time, in the order they came', async () => {
    await boot();
    const { id } = await newSession();
    const first = await prompt(id, 'one');
    const second = await prompt(id, 'two');
    await until(() => world.started.length === 1);
    expect((await core.sessions.turn(id, second.turn.id)).state).toBe('queued');
    world.endTurn(first.turn.id);
    await until(() => world.started.length === 2);
    world.endTurn(second.turn.id);
    expect(await ended(id, second.turn.id)).toMatchObject({ state: 'completed', stopReason: 'end_turn' });
    expect(world.started).toEqual([first.turn.id, second.turn.id]);
    const seqs = (await store.read.events(id, 0, 1000)).map((event) => event.seq);
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
  });

  test('beyond the slots they wait, with a position, and priority goes first', async () => {
    await boot(1);
    const [a, b, c] = [await newSession(), await newSession(), await newSession()];
    const running = await prompt(a.id, 'busy');
    expect(running.admission).toMatchObject({ queuePosition: 0, estimatedWaitSeconds: 0 });
    await until(() => world.started.length === 1);
    const normal = await prompt(b.id, 'normal');
    const premium = await prompt(c.id, 'premium', { priority: 'premium' });
    expect(normal.admission).toMatchObject({ status: 'queued', queuePosition: 1 });
    expect(premium.admission).toMatchObject({ status: 'queued', queuePosition: 1 });
    expect((await core.sessions.admission(normal.turn)).queuePosition).toBe(2);
    expect(normal.admission.estimatedWaitSeconds).toBeGreaterThan(0);
    world.endTurn(running.turn.id);
    await until(() => world.started.length === 2);
    world.endTurn(premium.turn.id);
    await until(() => world.started.length === 3);
    expect(world.started).toEqual([running.turn.id, premium.turn.id, normal.turn.id]);
    expect([...world.sandboxes.values()].filter((info) => info.status === 'running')).toHaveLength(1);
    world.endTurn(normal.turn.id);
    await ended(b.id, normal.turn.id);
  });

  test('the same idempotency key is the same turn; another prompt under it is a conflict', async () => {
    await boot();
    const { id } = await newSession();
    const [one, two] = await Promise.all([
      prompt(id, 'once', { idempotencyKey: 'k' }),
      prompt(id, 'once', { idempotencyKey: 'k' }),
    ]);
    expect(two.turn.id).toBe(one.turn.id);
    await expect(prompt(id, 'else', { idempotencyKey: 'k' })).rejects.toMatchObject({ code: 'conflict', field: 'idempotencyKey' });
    await until(() => world.started.length === 1);
    world.endTurn(one.turn.id);
    await ended(id, one.turn.id);
  });

  test('interrupt ends the running turn and those that wait', async () => {
    await boot();
    const { id } = await newSession();
    const running = await prompt(id, 'one');
    const waiting = await prompt(id, 'two');
    await until(async () => (await core.sessions.turn(id, running.turn.id)).state === 'running');
    expect(await core.sessions.interrupt(id, 'ada')).toEqual({ interrupted: running.turn.id });
    expect((await ended(id, running.turn.id)).state).toBe('cancelled');
    expect((await ended(id, waiting.turn.id)).state).toBe('cancelled');
    expect((await core.sessions.get(id)).status).toBe('idle');
  });

  test('a passing failure is tried again, a lasting one ends the turn with its reason and gives the slot back', async () => {
    await boot(1);
    let failures = 2;
    world.failCreate = () => (failures-- > 0 ? new BerthError('unavailable', 'not now') : null);
    const { id } = await newSession();
    const turn = await prompt(id, 'one');
    await until(() => world.started.length === 1);
    world.endTurn(turn.turn.id);
    expect((await ended(id, turn.turn.id)).state).toBe('completed');

    world.failCreate = () => new BerthError('invalid_request', 'no such template', { field: 'template' });
    const other = await newSession();
    const failed = await prompt(other.id, 'one');
    expect(await ended(other.id, failed.turn.id)).toMatchObject({
      state: 'failed',
      error: { code: 'invalid_request', message: 'no such template' },
    });
    expect((await core.sessions.get(other.id)).sandboxId).toBeNull();
    const again = await prompt(id, 'two');
    await until(() => world.started.length === 2);
    world.endTurn(again.turn.id);
    await ended(id, again.turn.id);
  });
});

describe('recovery', () => {
  test('a new process takes up the turn that ran and the one that waited, once each', async () => {
    await boot(1);
    const { id } = await newSession();
    const running = await prompt(id, 'one');
    const waiting = await prompt(id, 'two');
    await until(async () => (await core.sessions.turn(id, running.turn.id)).state === 'running');
    await core.close();

    const before = world;
    core = createCore(before.deps);
    before.endTurn(running.turn.id);
    await core.start(AbortSignal.timeout(10_000));
    expect((await ended(id, running.turn.id)).state).toBe('completed');
    await until(() => before.started.length === 2);
    before.endTurn(waiting.turn.id);
    expect((await ended(id, waiting.turn.id)).state).toBe('completed');
    expect(before.started).toEqual([running.turn.id, waiting.turn.id]);
    const endings = (await store.read.events(id, 0, 1000)).filter((event) => event.type === 'turn.ended');
    expect(endings.map((event) => event.turnId)).toEqual([running.turn.id, waiting.turn.id]);
  });

  test('an unknown sandbox is removed, a half-made deletion is finished', async () => {
    await boot();
    const { id } = await newSession();
    const turn = await prompt(id, 'one');
    await until(() => world.started.length === 1);
    world.endTurn(turn.turn.id);
    await ended(id, turn.turn.id);
    await core.close();
    await store.transaction((tx) => tx.updateSession(id, { deletingAt: new Date().toISOString() }));
    world.sandboxes.set('sbx_orphan', { ...[...world.sandboxes.values()][0]!, id: 'sbx_orphan' });

    core = createCore(world.deps);
    await core.start(AbortSignal.timeout(10_000));
    expect(world.sandboxes.size).toBe(0);
    expect(await store.read.session(id)).toBeNull();
    expect(await store.read.turnsInState(openTurnStates)).toEqual([]);
  });
});
