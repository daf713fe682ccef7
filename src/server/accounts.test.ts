import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createCore, type Core } from '../core/create-core.ts';
import type { Store } from '../core/ports/store.ts';
import { givenToken } from '../core/testing/accounts.ts';
import { createWorld, type World } from '../core/testing/doubles.ts';
import { listen, type HttpServer } from '../main/http-server.ts';
import { createBerthClient, type BerthClient } from '../sdk/index.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import { createApp } from './app.ts';
import { createBrowserLogin, usedCodes } from './browser-login.ts';

/** People over HTTP: `root` owns the installation; `ada` has a session. */
let store: Store;
let world: World;
let core: Core;
let server: HttpServer;
let root: BerthClient;
let ada: BerthClient;
let session: string;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(5_000));
  const { agents, installer, logger } = world.deps;
  const login = createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: usedCodes(store) });
  const app = createApp({
    core,
    store,
    browser: { login, publicUrl: () => null },
    agents,
    installer,
    logger,
    providerName: 'memory',
    version: '0',
    report: async () => [],
  });
  server = await listen(app, '127.0.0.1', 0);
  root = clientOf(await givenToken(store, 'root'));
  ada = await newClient('ada');
  session = (await ada.sessions.create({ agent: 'any', title: "Ada's plan" })).id;
});
afterEach(async () => {
  await server.close();
  await core.close();
  await store.close();
});

const clientOf = (token: string): BerthClient => createBerthClient({ baseUrl: server.url, token });

async function newClient(handle: string): Promise<BerthClient> {
  await root.users.add({ handle });
  return clientOf((await root.users.addToken(handle, { name: 'test', scopes: ['admin'] })).secret);
}

const signIn = (url: string): Promise<Response> =>
  fetch(`${server.url}/api/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: server.url },
    body: JSON.stringify({ code: new URL(url).hash.replace('#code=', '') }),
  });

/** The session's events as a stream that stays open. */
async function openEvents(token: string): Promise<{ ended: Promise<unknown> }> {
  const response = await fetch(`${server.url}/api/sessions/${session}/events`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const reader = response.body!.getReader();
  await reader.read();
  const rest = async (): Promise<void> => {
    while (!(await reader.read()).done);
  };
  return { ended: rest().then(() => 'ended', () => 'cut') };
}

async function openSocket(token: string): Promise<{ socket: WebSocket; closed: Promise<number> }> {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/sessions/${session}/stream`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  return { socket, closed };
}

describe('accounts', () => {
  test('a new user is signed in by a link, once; who he is and what he may is told', async () => {
    const { user, signIn: link } = await root.users.add({ handle: 'bob', displayName: 'Bob', role: 'viewer' });
    expect(user).toMatchObject({ handle: 'bob', role: 'viewer', disabledAt: null });
    const first = await signIn(link.url);
    expect([first.status, await first.json()]).toEqual([200, { user: 'bob' }]);
    const cookie = first.headers.get('set-cookie')!.split(';')[0]!;
    const me = await fetch(`${server.url}/api/me`, { headers: { cookie } });
    expect(await me.json()).toEqual({ user: 'bob', displayName: 'Bob', role: 'viewer', scopes: ['admin'], teams: [] });
    expect((await signIn(link.url)).status).toBe(401);
    await expect(root.users.add({ handle: 'bob' })).rejects.toMatchObject({ code: 'conflict', field: 'handle' });
    await expect(root.users.add({ handle: 'Not a name' })).rejects.toMatchObject({ code: 'invalid_request', field: 'handle' });
    await expect(root.users.change('nobody', { role: 'owner' })).rejects.toMatchObject({ code: 'not_found' });
  });

  test('the last owner stays', async () => {
    const attempts = [
      () => root.users.change('root', { role: 'member' }),
      () => root.users.change('root', { disabled: true }),
      () => root.users.remove('root'),
    ];
    for (const attempt of attempts) {
      await expect(attempt()).rejects.toMatchObject({ code: 'conflict', field: 'handle' });
    }
    await root.users.change('ada', { role: 'owner' });
    expect(await root.users.change('root', { role: 'member' })).toMatchObject({ role: 'member' });
    await expect(root.users.list()).resolves.toHaveLength(2);
    await expect(root.users.add({ handle: 'eve' })).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('who has sessions is not removed; whose handle is given again inherits nothing', async () => {
    await expect(root.users.remove('ada')).rejects.toMatchObject({ code: 'conflict' });
    const max = await newClient('max');
    await ada.shares.set(session, { kind: 'user', name: 'max' }, ['prompt']);
    expect(await max.sessions.list()).toHaveLength(1);
    await root.users.remove('max');
    await expect(max.me()).rejects.toMatchObject({ code: 'unauthorized' });
    const other = await newClient('max');
    expect(await other.sessions.list()).toEqual([]);
    await expect(max.me()).rejects.toMatchObject({ code: 'unauthorized' });
  });
});

describe('tokens', () => {
  test('are shown once, narrowed by their scopes, and end when they are revoked', async () => {
    const { token, secret } = await ada.tokens.add({ name: 'ci', scopes: ['read'] });
    const narrow = clientOf(secret);
    expect((await narrow.me()).scopes).toEqual(['read']);
    await expect(narrow.sessions.create({ agent: 'any' })).rejects.toMatchObject({ code: 'forbidden', context: { needs: 'sessions:create', scope: 'prompt' } });
    await expect(narrow.tokens.add({ name: 'more', scopes: ['admin'] })).rejects.toMatchObject({ code: 'forbidden' });
    const listed = await ada.tokens.list();
    expect(listed.map(({ name }) => name)).toContain('ci');
    expect(JSON.stringify(listed)).not.toContain(secret);
    await expect(root.tokens.revoke('tok_none')).rejects.toMatchObject({ code: 'not_found' });
    const { closed } = await openSocket(secret);
    await ada.tokens.revoke(token.id);
    expect(await closed).toBe(1006);
    await expect(narrow.me()).rejects.toMatchObject({ code: 'unauthorized' });
    expect((await ada.tokens.list()).map(({ id }) => id)).not.toContain(token.id);
  });

  test('when one was used is kept', async () => {
    await expect
      .poll(async () => (await root.users.tokens('ada')).some(({ lastUsedAt }) => lastUsedAt !== null), { timeout: 10_000 })
      .toBe(true);
  });
});

describe('sharing', () => {
  test('lists show what one may see, and no more of the queue than that', async () => {
    const max = await newClient('max');
    await max.sessions.create({ agent: 'any', title: 'Mine' });
    const asked = await Promise.all(
      [1, 2, 3].map(async (n) => (await ada.sessions.create({ agent: 'any', title: `Secret ${n}` })).id),
    );
    for (const id of asked) await ada.sessions.prompt(id, 'go');
    expect((await max.sessions.list()).map(({ title }) => title)).toEqual(['Mine']);
    expect(await root.sessions.list()).toHaveLength(5);
    const own = await ada.queue();
    expect(own.queued).toHaveLength(1);
    const seen = await max.queue();
    expect(seen).toMatchObject({ slots: own.slots, running: own.running, queued: [] });
    expect(JSON.stringify(seen)).not.toMatch(/Secret|ada|ses_/);
    await ada.shares.set(asked[2]!, { kind: 'user', name: 'max' }, ['view']);
    expect((await max.queue()).queued).toMatchObject([{ sessionId: asked[2], position: 1 }]);
  });

  test('by a team; a member prompts, and out of the team he sees nothing', async () => {
    const max = await newClient('max');
    await root.teams.add({ name: 'crew', displayName: 'The crew' });
    await root.teams.setMember('crew', 'ada', 'owner');
    await ada.teams.setMember('crew', 'max', 'viewer');
    expect(await max.teams.list()).toMatchObject([{ name: 'crew', members: [{ user: 'ada' }, { user: 'max' }, { user: 'root' }] }]);
    await ada.shares.set(session, { kind: 'team', name: 'crew' }, ['prompt']);
    expect(await max.sessions.prompt(session, 'go')).toMatchObject({ sessionId: session });
    await ada.teams.removeMember('crew', 'max');
    await expect(max.sessions.get(session)).rejects.toMatchObject({ code: 'not_found', field: 'id' });
    await expect(max.teams.get('crew')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('a session made for a team is its members’; one may make it for a team of one’s own alone', async () => {
    const max = await newClient('max');
    await root.teams.add({ name: 'crew' });
    await root.teams.setMember('crew', 'ada', 'member');
    await root.teams.setMember('crew', 'max', 'viewer');
    const { id, team } = await ada.sessions.create({ agent: 'any', team: 'crew' });
    expect([team, (await max.sessions.list()).map((each) => each.id)]).toEqual(['crew', [id]]);
    await expect(max.sessions.prompt(id, 'go')).rejects.toMatchObject({ code: 'forbidden' });
    const make = (name: string) => max.sessions.create({ agent: 'any', team: name });
    await expect(make('crew')).rejects.toMatchObject({ code: 'forbidden', field: 'team' });
    await expect(make('others')).rejects.toMatchObject({ code: 'not_found', field: 'team' });
  });

  test('what somebody may do with a session is told, with his role, what was shared and the scopes of his token', async () => {
    const max = await newClient('max');
    await expect(max.shares.own(session)).rejects.toMatchObject({ code: 'not_found' });
    const all = ['session:view', 'session:prompt', 'session:answer', 'session:copy', 'session:manage'];
    expect([await ada.shares.own(session), await root.shares.own(session)]).toEqual([all, all]);
    await ada.shares.set(session, { kind: 'user', name: 'max' }, ['view']);
    expect(await max.shares.own(session)).toEqual(['session:view']);
    await ada.shares.set(session, { kind: 'user', name: 'max' }, ['prompt']);
    expect(await max.shares.own(session)).toEqual(['session:view', 'session:prompt', 'session:copy']);
    const { secret } = await ada.tokens.add({ name: 'answers', scopes: ['answer'] });
    expect(await clientOf(secret).shares.own(session)).toEqual(['session:view', 'session:answer']);
    await ada.shares.set(session, { kind: 'user', name: 'max' }, ['prompt', 'answer']);
    await root.users.change('max', { role: 'viewer' });
    expect(await max.shares.own(session)).toEqual(['session:view']);
  });

  test("the machine's own files are for owners", async () => {
    const asked = { agent: 'any', repository: 'file:///srv/secret' };
    await expect(ada.sessions.create(asked)).rejects.toMatchObject({ code: 'invalid_request', field: 'repository' });
    expect(await root.sessions.create(asked)).toMatchObject({ repository: 'file:///srv/secret' });
  });

  test('over a socket each message needs its own right', async () => {
    const max = await newClient('max');
    await ada.shares.set(session, { kind: 'user', name: 'max' }, ['view']);
    const { secret } = await max.tokens.add({ name: 'socket', scopes: ['admin'] });
    const { socket } = await openSocket(secret);
    const replies: { to: string; ok: boolean; error?: { code: string } }[] = [];
    const heard = new Promise<void>((resolve) => {
      socket.on('message', (data: Buffer) => {
        const message = JSON.parse(data.toString()) as { type: string };
        if (message.type === 'reply' && replies.push(message as never) === 4) resolve();
      });
    });
    for (const message of [{ type: 'prompt', prompt: 'go' }, { type: 'interrupt' }, { type: 'permission', requestId: 'r', optionId: null }, { type: 'ping' }]) {
      socket.send(JSON.stringify(message));
    }
    await heard;
    const said = Object.fromEntries(replies.map(({ to, ok, error }) => [to, ok || error?.code]));
    expect(said).toEqual({ prompt: 'forbidden', interrupt: 'forbidden', permission: 'forbidden', ping: true });
    socket.close();
    expect(await store.read.turns(session)).toEqual([]);
  });

  test('a viewer of the installation only ever looks', async () => {
    const ida = await newClient('ida');
    await root.users.change('ida', { role: 'viewer' });
    await expect(ada.shares.set(session, { kind: 'user', name: 'ida' }, ['prompt'])).rejects.toMatchObject({ code: 'conflict', field: 'rights' });
    await ada.shares.set(session, { kind: 'user', name: 'ida' }, ['view']);
    expect(await ida.sessions.get(session)).toMatchObject({ id: session });
    await expect(ida.sessions.create({ agent: 'any' })).rejects.toMatchObject({ code: 'forbidden' });
  });
});

test('quotas are set by owners, seen by whom they are of, and refuse by name', async () => {
  const ofAda = { kind: 'user', name: 'ada' } as const;
  const set = await root.quotas.set(ofAda, { sessions: 1, slots: 2 });
  expect(set).toMatchObject({ quota: { sessions: 1, slots: 2 }, serverDefault: {}, used: { sessions: 1, slots: 0 } });
  expect(await ada.quotas.own()).toEqual(set);
  await expect(ada.quotas.set(ofAda, null)).rejects.toMatchObject({ code: 'forbidden' });
  await expect(ada.quotas.of({ kind: 'user', name: 'root' })).rejects.toMatchObject({ code: 'forbidden' });
  await expect(ada.sessions.create({ agent: 'any' })).rejects.toMatchObject({
    code: 'quota_exceeded',
    context: { quota: 'sessions', status: 403, limit: 1, used: 1 },
  });
  await root.teams.add({ name: 'crew' });
  const ofCrew = { kind: 'team', name: 'crew' } as const;
  await expect(ada.quotas.of(ofCrew)).rejects.toMatchObject({ code: 'not_found' });
  await root.teams.setMember('crew', 'ada', 'owner');
  await expect(ada.quotas.set(ofCrew, { slots: 9 })).rejects.toMatchObject({ code: 'forbidden' });
  expect(await ada.quotas.of(ofCrew)).toMatchObject({ subject: ofCrew, quota: null });
  await expect(root.quotas.set(ofCrew, { slots: 0 })).rejects.toMatchObject({ code: 'invalid_request', field: 'quota.slots' });
});

describe('what is open ends', () => {
  test('with the account: streams, sockets and tokens; those of others go on', async () => {
    const { secret: hers } = await ada.tokens.add({ name: 'hers', scopes: ['read'] });
    const { secret: owners } = await root.tokens.add({ name: 'owners', scopes: ['read'] });
    const stream = await openEvents(hers);
    const { closed } = await openSocket(hers);
    const other = await openSocket(owners);
    await root.users.change('ada', { disabled: true });
    expect([await stream.ended, await closed]).toEqual(['cut', 1006]);
    await expect(ada.me()).rejects.toMatchObject({ code: 'unauthorized' });
    expect(other.socket.readyState).toBe(WebSocket.OPEN);
    other.socket.close();
    await root.users.change('ada', { disabled: false });
    expect(await ada.me()).toMatchObject({ user: 'ada' });
  });

  test('with the share; a session that is deleted ends its streams by itself', async () => {
    const max = await newClient('max');
    const { secret } = await max.tokens.add({ name: 'his', scopes: ['read'] });
    await ada.shares.set(session, { kind: 'user', name: 'max' }, ['view']);
    const { closed } = await openSocket(secret);
    await ada.shares.remove(session, { kind: 'user', name: 'max' });
    expect(await closed).toBe(1006);
    await ada.shares.set(session, { kind: 'user', name: 'max' }, ['view']);
    const again = await openSocket(secret);
    await ada.sessions.delete(session);
    again.socket.close();
    await again.closed;
  });
});

test('what is done to accounts is in the audit log, without a secret', async () => {
  const { token, secret } = await ada.tokens.add({ name: 'ci', scopes: ['read'] });
  await ada.tokens.revoke(token.id);
  await root.users.change('ada', { displayName: 'Ada' });
  const entries = await store.read.audit({ order: 'newest', limit: 20 });
  expect(entries.map(({ actor, action, target }) => [actor, action, target])).toEqual(
    expect.arrayContaining([
      ['user:root', 'user.added', 'ada'],
      ['user:ada', 'token.created', token.id],
      ['user:ada', 'token.revoked', token.id],
      ['user:root', 'user.changed', 'ada'],
    ]),
  );
  expect(JSON.stringify(entries)).not.toContain(secret);
});
