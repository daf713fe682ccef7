import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCore, type Core } from '../core/create-core.ts';
import { verifyAudit } from '../core/audit/verify-audit.ts';
import type { Store } from '../core/ports/store.ts';
import { givenToken } from '../core/testing/accounts.ts';
import { createWorld, type World } from '../core/testing/doubles.ts';
import type { AuditPage } from '../protocol/audit.ts';
import { createBerthClient, type AuditEntry, type BerthClient } from '../sdk/index.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import { createApp } from './app.ts';
import { createBrowserLogin } from './browser-login.ts';
import type { Router } from './context.ts';

let store: Store;
let world: World;
let core: Core;
let app: Router;
let client: BerthClient;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(5_000));
  app = createApp({
    core,
    store,
    agents: world.deps.agents,
    installer: world.deps.installer,
    logger: world.deps.logger,
    providerName: 'memory',
    version: '0.0.0-test',
    report: async () => [],
    browser: {
      login: createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: async () => true }),
      publicUrl: () => null,
    },
  });
  client = clientOf(await givenToken(store, 'owner'));
});
afterEach(async () => {
  await core.close();
  await store.close();
});

function clientOf(token: string): BerthClient {
  return createBerthClient({
    baseUrl: 'http://localhost',
    token,
    // As a page of this server sends it, so that it may sign in.
    fetch: async (input, init) =>
      app.request(input, { ...init, headers: { ...init?.headers, origin: 'http://localhost', host: 'localhost' } }),
  });
}

async function exported(query: Parameters<BerthClient['audit']['export']>[0] = {}): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  for await (const entry of client.audit.export(query)) entries.push(entry);
  return entries;
}

describe('the audit log has', () => {
  test('who made, prompted, answered, changed, put to rest, woke and deleted a session, and it outlives it', async () => {
    const session = await client.sessions.create({ agent: 'any' });
    const { id } = session;
    const { turnId } = await client.sessions.prompt(id, { prompt: 'the words are not told' });
    await expect.poll(() => world.started).toContain(turnId);
    world.ask(turnId, 'req');
    await expect.poll(async () => (await store.read.openPermissions(id)).length).toBe(1);
    await client.sessions.answerPermission(id, 'req', 'yes');
    await client.sessions.interrupt(id);
    await expect.poll(async () => (await store.read.turn(turnId))?.state).toBe('cancelled');
    await client.sessions.update(id, { title: 'Other' });
    await client.sessions.rest(id, 'hibernate');
    await client.sessions.wake(id);
    await client.sessions.delete(id);

    const entries = await exported({ session: id });
    expect(entries.map(({ actor, action, target }) => [actor, action, target])).toEqual([
      ['user:owner', 'session.created', id],
      ['user:owner', 'prompt.sent', turnId],
      ['user:owner', 'permission.answered', 'req'],
      ['user:owner', 'turn.interrupted', id],
      ['user:owner', 'session.updated', id],
      ['user:owner', 'session.rested', id],
      ['user:owner', 'session.woken', id],
      ['user:owner', 'session.deleted', id],
    ]);
    expect(entries[2]?.detail).toMatchObject({ turn: turnId, option: 'Yes', optionKind: 'allow_once' });
    expect(JSON.stringify(entries)).not.toContain('the words');
    expect(await client.audit.verify()).toMatchObject({ intact: true });
  });

  test('that a runner claims an answer which nobody gave here', async () => {
    const { id } = await client.sessions.create({ agent: 'any' });
    const { turnId } = await client.sessions.prompt(id, { prompt: 'p' });
    await expect.poll(() => world.started).toContain(turnId);
    world.ask(turnId, 'req');
    await expect.poll(async () => (await store.read.openPermissions(id)).length).toBe(1);
    // Past the server, as whoever took the runner over can.
    const { sandboxId } = (await store.read.session(id))!;
    await world.deps
      .connectRunner((await store.read.sandbox(sandboxId!))!)
      .answerPermission(id, 'req', { optionId: 'yes', by: 'owner' }, AbortSignal.timeout(5_000));
    await expect
      .poll(() => exported({ session: id, action: 'permission.*' }))
      .toMatchObject([
        { actor: `session:${id}`, target: 'req', detail: { claimedBy: 'owner', outcome: 'selected', option: 'Yes' } },
      ]);
  });

  test('who signed in, and a count of those who could not', async () => {
    const token = await givenToken(store, 'owner', { name: 'laptop' });
    await client.login({ token });
    for (let n = 0; n < 30; n += 1) await client.login({ token: `brth_${n}` }).catch(() => {});
    await client.loginLink();
    const entries = await exported({ action: 'signin.*' });
    expect(entries.map(({ actor, action, detail }) => [actor, action, detail['count']])).toEqual([
      ['user:owner', 'signin.succeeded', undefined],
      ['server', 'signin.failed', 1],
      ['server', 'signin.failed', 10],
      ['user:owner', 'signin.link_created', undefined],
    ]);
    expect(JSON.stringify(await exported())).not.toContain(token);
  });
});

describe('the routes', () => {
  test('page from the newest back, and filter', async () => {
    for (const title of ['a', 'b', 'c']) await client.sessions.create({ agent: 'any', title });
    const first: AuditPage = await client.audit.list({ action: 'session.created', limit: 2 });
    expect(first.entries).toHaveLength(2);
    const second = await client.audit.list({ action: 'session.created', limit: 2, before: first.next! });
    expect(second).toMatchObject({ entries: [{ action: 'session.created' }], next: null });
    const seqs = [...first.entries, ...second.entries].map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.toSorted((a, b) => b - a));
    expect((await client.audit.list({ actor: 'user:nobody' })).entries).toEqual([]);
    expect((await client.audit.list({ since: new Date(Date.now() + 3_600_000).toISOString() })).entries).toEqual([]);
  });

  test('refuse what is no filter, naming it, and all but the owner', async () => {
    await expect(client.audit.list({ action: 'a; drop table' })).rejects.toMatchObject({
      code: 'invalid_request',
      field: 'action',
    });
    await expect(client.audit.list({ since: 'yesterday' })).rejects.toMatchObject({
      code: 'invalid_request',
      field: 'since',
    });
    await expect(client.audit.verify('beef')).rejects.toMatchObject({ code: 'invalid_request', field: 'head' });
    const other = clientOf(await givenToken(store, 'ada', { role: 'member' }));
    await expect(other.audit.list()).rejects.toMatchObject({ code: 'forbidden' });
    await expect(other.audit.verify()).rejects.toMatchObject({ code: 'forbidden' });
    await expect(other.audit.export().next()).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('export what verifies elsewhere, in pages of any number', async () => {
    const at = new Date().toISOString();
    const entry = {
      at,
      actor: 'server',
      action: 'session.created',
      target: null,
      sessionId: null,
      detail: {},
    } as const;
    await store.transaction((tx) => tx.appendAudit(Array.from({ length: 1203 }, () => entry)));
    const entries = await exported();
    expect(entries.length).toBeGreaterThan(1203);
    const head = entries.at(-1)!;
    const reads = {
      audit: async ({ after = 0, limit }: { after?: number; limit: number }) => entries.slice(after, after + limit),
      auditHead: async () => head,
    };
    expect(await verifyAudit(reads, null, AbortSignal.timeout(5_000))).toMatchObject({
      intact: true,
      entries: entries.length,
    });
    expect(await client.audit.verify(head.hash)).toMatchObject({ intact: true });
    expect(await client.audit.verify('0'.repeat(63) + '1')).toMatchObject({
      intact: false,
      broken: { fault: 'head_not_found' },
    });
    expect(await exported({ after: 1200 })).toEqual(entries.slice(1200));
  });
});
