import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { JournalEntry } from '../ports/runner.ts';
import type { Store } from '../ports/store.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import { createVirtualClock } from '../testing/virtual-clock.ts';
import { FloodGuard } from './flood-guard.ts';

const limits = { bytesPerTurn: 40_000, bytesPerSession: 2_200_000 };
const soon = { timeout: 10_000, interval: 5 };

let store: Store;
let world: World;
let core: Core;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store, { logLimits: limits });
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(10_000));
});
afterEach(async () => {
  await core.close();
  await store.close();
});

const stateOf = async (turnId: string) => (await store.read.turn(turnId))?.state;
const logOf = (sessionId: string) => store.read.events(sessionId, 0, 10_000);

async function prompted(sessionId?: string): Promise<{ sessionId: string; turnId: string }> {
  const id = sessionId ?? (await core.sessions.create({ agent: 'any', permissions: 'ask' }, 'ada', AbortSignal.timeout(5_000))).id;
  const turnId = (await core.sessions.prompt(id, { prompt: 'go' }, 'ada')).turn.id;
  await expect.poll(() => stateOf(turnId), soon).toBe('running');
  return { sessionId: id, turnId };
}

/** Whatever a runner that was taken over writes. */
function write(sessionId: string, turnId: string, count: number, data: object): void {
  const journal = world.journals.get(sessionId)!;
  const at = new Date().toISOString();
  for (let written = 0; written < count; written += 1) {
    journal.events.push({ seq: journal.events.length + 1, at, turnId, ...data } as (typeof journal.events)[number]);
  }
  for (const listener of journal.listeners) listener();
}
const update = (text: string) => ({ type: 'agent.update', data: { update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } } } });

test('a full turn leaves out what the agent says, says so once, and still ends; the next has room again', async () => {
  const first = await prompted();
  write(first.sessionId, first.turnId, 3000, update('x'.repeat(200)));
  world.endTurn(first.turnId);
  await expect.poll(() => stateOf(first.turnId), soon).toBe('completed');
  const events = await logOf(first.sessionId);
  expect(events.filter(({ type }) => type === 'agent.update').length).toBeGreaterThan(50);
  expect((await store.read.session(first.sessionId))!.logBytes).toBeLessThan(limits.bytesPerTurn + 5_000);
  expect(events.filter(({ type }) => type === 'agent.log')).toMatchObject([{ turnId: first.turnId, data: { level: 'warn', message: expect.stringContaining('in this turn') } }]);

  const second = await prompted(first.sessionId);
  write(second.sessionId, second.turnId, 1, update('after'));
  world.endTurn(second.turnId);
  await expect.poll(() => stateOf(second.turnId), soon).toBe('completed');
  expect(JSON.stringify((await logOf(second.sessionId)).slice(-4))).toContain('after');
});

test('a session whose log is full takes no prompt, and says what to do', async () => {
  const { sessionId, turnId } = await prompted();
  const mebibyte = 2 ** 20;
  await store.transaction((tx) =>
    tx.appendEvents(sessionId, [{ at: new Date().toISOString(), turnId, type: 'agent.log', data: { level: 'info', message: 'y'.repeat(1.2 * mebibyte) } }]),
  );
  await expect(core.sessions.prompt(sessionId, { prompt: 'more' }, 'ada')).rejects.toMatchObject({
    code: 'resource_exhausted',
    message: expect.stringContaining('fork'),
    context: { maxLogBytes: limits.bytesPerSession },
  });
});

test('a journal full of what may not be left out ends the turn with that as its failure; others go on', async () => {
  const hostile = await prompted();
  const beside = await prompted();
  write(hostile.sessionId, hostile.turnId, 10_100, { type: 'agent.config', data: { modeId: null, modes: [], options: [] } });
  await expect.poll(() => stateOf(hostile.turnId), soon).toBe('failed');
  expect(await store.read.turn(hostile.turnId)).toMatchObject({ error: { code: 'upstream_failed', message: expect.stringContaining('floods its journal') } });
  expect(await store.read.audit({ action: 'journal.refused', order: 'oldest', limit: 10 })).toMatchObject([{ actor: 'server', sessionId: hostile.sessionId }]);
  const { lastSeq } = (await store.read.session(hostile.sessionId))!;
  expect((await store.read.events(hostile.sessionId, lastSeq - 3, 10)).map(({ type }) => type)).toContain('turn.ended');
  world.endTurn(beside.turnId);
  await expect.poll(() => stateOf(beside.turnId), soon).toBe('completed');
});

test('of many questions at once a hundred are taken; none happens after now', async () => {
  const { sessionId, turnId } = await prompted();
  const journal = world.journals.get(sessionId)!;
  for (let asked = 0; asked < 150; asked += 1) {
    const data = { requestId: `r${asked}`, toolCall: { toolCallId: 't' }, options: [], expiresAt: '2999-01-01T00:00:00.000Z' };
    journal.events.push({ seq: journal.events.length + 1, at: '2998-01-01T00:00:00.000Z', turnId, type: 'permission.requested', data });
  }
  world.endTurn(turnId);
  await expect.poll(() => stateOf(turnId), soon).toBe('completed');
  const events = await logOf(sessionId);
  expect(events.filter(({ type }) => type === 'permission.requested')).toHaveLength(100);
  expect(events.filter(({ at }) => at > new Date().toISOString())).toEqual([]);
});

test('a page of the log is bounded in bytes, and no event is left out between pages', async () => {
  const { sessionId, turnId } = await prompted();
  const at = new Date().toISOString();
  const large = { at, turnId, type: 'agent.log' as const, data: { level: 'info' as const, message: 'z'.repeat(3 * 2 ** 20) } };
  await store.transaction((tx) => tx.appendEvents(sessionId, Array.from({ length: 7 }, () => large)));
  const seen: number[] = [];
  const pages: number[] = [];
  for (;;) {
    const page = await store.read.events(sessionId, seen.at(-1) ?? 0, 1000);
    if (page.length === 0) break;
    pages.push(page.filter(({ data }) => JSON.stringify(data).length > 2 ** 20).length);
    seen.push(...page.map(({ seq }) => seq));
  }
  expect(pages).toEqual([3, 3, 1]);
  expect(seen).toEqual(Array.from({ length: seen.length }, (_, index) => index + 1));
});

test('what comes faster than a second’s worth waits', async () => {
  const clock = createVirtualClock();
  const guard = new FloodGuard(clock, limits);
  const entries = (count: number, sizeBytes: number) => Array.from({ length: count }, () => ({ sizeBytes })) as JournalEntry[];
  const never = new AbortController().signal;
  await guard.pace(entries(4000, 10), never);
  const slowed = guard.pace(entries(2000, 10), never);
  await expect(Promise.race([slowed, Promise.resolve('waits')])).resolves.toBe('waits');
  await clock.pass(1000);
  await slowed;
  const stopped = new AbortController();
  const large = guard.pace(entries(10, 8 * 2 ** 20), stopped.signal);
  stopped.abort();
  await expect(large).rejects.toThrow();
});
