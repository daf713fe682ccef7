import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseQuota } from '../../protocol/quota.ts';
import type { Quota } from '../../protocol/quota.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { Store, TurnRecord } from '../ports/store.ts';
import { givenToken } from '../testing/accounts.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import { createVirtualClock, type VirtualClock } from '../testing/virtual-clock.ts';

/** Quotas over a server with more slots than anybody needs. `ada` and `max` are members, both in the team `crew`. */
const gib = 1024 ** 3;
let store: Store;
let world: World;
let core: Core;
let clock: VirtualClock;

beforeEach(() => boot());
afterEach(async () => {
  await core.close();
  await store.close();
});

async function boot(user: Quota = {}): Promise<void> {
  store = await createSqliteStore({ path: ':memory:' });
  clock = createVirtualClock();
  world = createWorld(store, { slots: 5, quotas: { user, team: {} } }, clock);
  for (const name of ['ada', 'max']) await givenToken(store, name, { role: 'member' });
  core = createCore(world.deps);
  await core.accounts.teams.add({ name: 'crew' }, 'ada');
  await core.accounts.teams.setMember('crew', 'max', 'member', 'ada');
  await core.start(AbortSignal.timeout(10_000));
}

const setQuota = (kind: 'user' | 'team', name: string, text: string) => core.quotas.set({ kind, name }, parseQuota(text), 'ada');

const make = async (owner: string, more: { team?: string } = {}): Promise<string> =>
  (await core.sessions.create({ agent: 'any', permissions: 'ask', ...more }, owner, AbortSignal.timeout(5_000))).id;

const prompt = (id: string, by: string) => core.sessions.prompt(id, { prompt: 'go' }, by);

const begun = (turn: TurnRecord) => clock.runUntil(() => world.started.includes(turn.id));

async function finish(turn: TurnRecord): Promise<void> {
  world.endTurn(turn.id);
  await clock.runUntil(async () => (await store.read.turn(turn.id))?.state === 'completed');
}

const awakeOf = async (name: string): Promise<number> => (await core.quotas.show({ kind: 'user', name })).used.slots;

describe('slots', () => {
  test('work beyond them waits, is told why and for how long, and holds up nobody else', async () => {
    await setQuota('user', 'ada', 'slots=1');
    const first = await prompt(await make('ada'), 'ada');
    await begun(first.turn);
    const second = await prompt(await make('ada'), 'ada');
    const third = await prompt(await make('ada'), 'ada');
    expect(second.admission).toMatchObject({ status: 'queued', queuePosition: 1 });
    expect(second.admission.message).toMatch(/ada has all of the 1 slots that the quota allows/);
    expect(third.admission.queuePosition).toBe(2);
    expect(third.admission.estimatedWaitSeconds).toBeGreaterThan(second.admission.estimatedWaitSeconds);
    const other = await prompt(await make('max'), 'max');
    expect(other.admission.queuePosition).toBe(0);
    await begun(other.turn);
    expect((await core.queue.overview()).queued).toMatchObject([
      { turnId: second.turn.id, position: 1, quota: { kind: 'user', name: 'ada', slots: 1 } },
      { turnId: third.turn.id, position: 2, quota: { kind: 'user', name: 'ada', slots: 1 } },
    ]);
    expect(world.started).toEqual([first.turn.id, other.turn.id]);
    // His own idle sandbox gives way, in the order of the queue.
    await finish(first.turn);
    await begun(second.turn);
    expect(await awakeOf('ada')).toBe(1);
    expect(await awakeOf('max')).toBe(1);
    await finish(second.turn);
    await begun(third.turn);
    await finish(third.turn);
    await finish(other.turn);
  });

  test('a session with much to do does not keep the quota from another of its owner', async () => {
    await setQuota('user', 'ada', 'slots=1');
    const busy = await make('ada');
    const first = await prompt(busy, 'ada');
    await begun(first.turn);
    const waiting = await prompt(await make('ada'), 'ada');
    const more = await prompt(busy, 'ada');
    await finish(first.turn);
    await begun(waiting.turn);
    expect(world.started).toEqual([first.turn.id, waiting.turn.id]);
    await finish(waiting.turn);
    await begun(more.turn);
    await finish(more.turn);
  });

  test('of a team they count for its sessions alone, and a raise lets what waits begin', async () => {
    await setQuota('team', 'crew', 'slots=1');
    const first = await prompt(await make('ada', { team: 'crew' }), 'ada');
    await begun(first.turn);
    const second = await prompt(await make('max', { team: 'crew' }), 'max');
    expect(second.admission.message).toMatch(/the team crew has all/);
    const own = await prompt(await make('max'), 'max');
    await begun(own.turn);
    expect(world.started).not.toContain(second.turn.id);
    await setQuota('team', 'crew', 'slots=2');
    await begun(second.turn);
    for (const { turn } of [first, second, own]) await finish(turn);
  });

  test('they hold for what is no turn as well', async () => {
    await setQuota('user', 'ada', 'slots=1');
    const first = await prompt(await make('ada'), 'ada');
    await begun(first.turn);
    const source = first.turn.sessionId;
    const forked = core.sessions.fork(source, 1, 'ada', AbortSignal.timeout(60_000));
    const refused = expect(forked).rejects.toMatchObject({ code: 'unavailable', context: { reason: 'quota' } });
    await clock.pass(61_000);
    await refused;
    expect(await core.sessions.list({ limit: 10 })).toHaveLength(1);
    await finish(first.turn);
  });
});

describe('sessions and disk', () => {
  test('what is beyond them is refused by name, and of two at once one gets the last place', async () => {
    await setQuota('user', 'ada', 'sessions=2');
    await make('ada');
    const both = await Promise.allSettled([make('ada'), make('ada')]);
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    await expect(make('ada')).rejects.toMatchObject({
      code: 'quota_exceeded',
      context: { quota: 'sessions', limit: 2, used: 2, subject: { kind: 'user', name: 'ada' } },
    });
    await make('max');
    await core.sessions.delete((await core.sessions.list({ owner: 'ada', limit: 1 }))[0]!.id, 'ada');
    await make('ada');
  });

  test('disks count by their limits; a team has a quota of its own', async () => {
    const each = world.deps.settings.defaultLimits.diskBytes;
    await core.quotas.set({ kind: 'team', name: 'crew' }, { diskBytes: 2 * each }, 'ada');
    await make('ada', { team: 'crew' });
    await make('max', { team: 'crew' });
    await expect(make('max', { team: 'crew' })).rejects.toMatchObject({
      code: 'quota_exceeded',
      field: 'limits.diskBytes',
      context: { quota: 'diskBytes', used: 2 * each },
    });
    await make('max');
  });

  test("the server's hold where there is none of one's own, limit by limit", async () => {
    await core.close();
    await store.close();
    await boot({ sessions: 1, priority: 'normal' });
    await make('max');
    await expect(make('max')).rejects.toMatchObject({ code: 'quota_exceeded' });
    await setQuota('user', 'max', 'sessions=2');
    const id = await make('max');
    const premium = core.sessions.prompt(id, { prompt: 'go', priority: 'premium' }, 'max');
    await expect(premium).rejects.toMatchObject({ code: 'quota_exceeded', field: 'priority' });
    expect(await core.quotas.set({ kind: 'user', name: 'max' }, null, 'ada')).toMatchObject({
      quota: null,
      serverDefault: { sessions: 1, priority: 'normal' },
      used: { sessions: 2, slots: 0 },
    });
  });
});

test('a default above the ceiling is lowered to it', async () => {
  await core.close();
  world = createWorld(store, { queue: { ...world.deps.settings.queue, userPriorities: { ada: 'premium' } } }, clock);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
  const id = await make('ada');
  const before = await prompt(id, 'ada');
  await setQuota('user', 'ada', 'priority=background');
  const after = await prompt(id, 'ada');
  expect(after.turn.priority).toBeLessThan(before.turn.priority);
});

test('quotas are audited, go with their user, and are of users and teams that there are', async () => {
  await setQuota('user', 'max', 'slots=2,disk=1.5g');
  expect((await store.read.audit({ order: 'newest', limit: 1 }))[0]).toMatchObject({
    actor: 'user:ada',
    action: 'quota.set',
    target: 'max',
    detail: { kind: 'user', quota: { slots: 2, diskBytes: 1.5 * gib } },
  });
  await expect(setQuota('team', 'none', 'slots=1')).rejects.toMatchObject({ code: 'not_found', field: 'team' });
  await givenToken(store, 'root');
  await core.accounts.users.remove('max', 'root');
  expect(await store.read.quotas()).toEqual([]);
});

test('what is no quota is refused', () => {
  expect(parseQuota('slots=3, sessions=20,disk=200g,priority=normal')).toEqual({
    slots: 3,
    sessions: 20,
    diskBytes: 200 * gib,
    priority: 'normal',
  });
  for (const wrong of ['slots', 'slots=0', 'slots=1.5', 'slots=3g', 'disk=much', 'priority=9', 'constructor=1']) {
    expect(() => parseQuota(wrong), wrong).toThrow();
  }
});
