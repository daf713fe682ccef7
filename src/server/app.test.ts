import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCore, type Core } from '../core/create-core.ts';
import { createWorld, type World } from '../core/testing/doubles.ts';
import type { ErrorBody } from '../protocol/errors.ts';
import type { SessionEvent } from '../protocol/events.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import type { Store } from '../core/ports/store.ts';
import { endTurn } from '../core/turns/end-turn.ts';
import type { QueueOverview } from '../protocol/api.ts';
import { createApp } from './app.ts';
import { givenToken } from '../core/testing/accounts.ts';
import { createBrowserLogin, usedCodes } from './browser-login.ts';
import type { AppDependencies, Router } from './context.ts';
import { webhookRoutes } from './routes/webhooks.ts';

let store: Store;
let world: World;
let core: Core;
let app: Router;
let token: string;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(5_000));
  token = await givenToken(store, 'ada');
  app = createApp(dependencies());
});

function dependencies(): AppDependencies {
  return {
    core,
    store,
    agents: world.deps.agents,
    installer: world.deps.installer,
    logger: world.deps.logger,
    providerName: 'memory',
    version: '0.0.0-test',
    report: async () => [],
    browser: { login: createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: usedCodes(store) }), publicUrl: () => null },
  };
}

afterEach(async () => {
  await core.close();
  await store.close();
});

function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  return app.request(path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
}

async function refusal(response: Response | Promise<Response>): Promise<ErrorBody['error'] & { status: number }> {
  const answered = await response;
  return { status: answered.status, ...((await answered.json()) as ErrorBody).error };
}

async function newSession(): Promise<string> {
  const response = await call('POST', '/api/sessions', { agent: 'any' });
  expect(response.status).toBe(201);
  return ((await response.json()) as { id: string }).id;
}

test('the pool, for people and for Prometheus', async () => {
  expect(await (await call('GET', '/api/pool')).json()).toMatchObject({ provider: 'memory', slots: 2, used: 0, sandboxes: {} });
  const id = await newSession();
  await core.sessions.withRunner(id, AbortSignal.timeout(5_000), async () => {});
  const response = await call('GET', '/api/metrics');
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  const text = await response.text();
  for (const line of ['berth_slots 2', 'berth_slots_used 1', 'berth_sandboxes{status="running"} 1', 'berth_first_sandboxes_total{kind="cold"} 1']) {
    expect(text.split('\n')).toContain(line);
  }
  // Each sample's metric is told of before, as the format wants it.
  for (const line of text.trim().split('\n')) expect(line).toMatch(/^(# (HELP|TYPE) berth_\w+ .+|berth_\w+(\{\w+="\w+"(,\w+="\w+")*\})? [\d.]+)$/);
});

describe('who may call', () => {
  test('health, the document, signing in and out, and asking to be let in need no token, all else does', async () => {
    expect((await app.request('/api/health')).status).toBe(200);
    const document = (await (await app.request('/api/openapi.json')).json()) as { paths: Record<string, object> };
    expect(Object.keys(document.paths).length).toBeGreaterThan(20);
    for (const [path, operations] of Object.entries(document.paths)) {
      if (['/api/health', '/api/login', '/api/logout', '/api/device-requests', '/api/device-tokens'].includes(path)) continue;
      for (const method of Object.keys(operations)) {
        const response = await app.request(path.replaceAll(/\{[^}]+\}/g, 'x'), { method: method.toUpperCase() });
        expect([path, method, response.status]).toEqual([path, method, 401]);
      }
    }
  });

  test('a wrong token is refused, whatever its shape', async () => {
    for (const authorization of ['Bearer brth_wrong', 'Bearer ', `Basic ${token}`, token, 'Bearer a b']) {
      expect(await refusal(app.request('/api/sessions', { headers: { authorization } }))).toMatchObject({
        status: 401,
        code: 'unauthorized',
        field: 'authorization',
      });
    }
  });
});

describe('bad input names the field, with a code and the right status', () => {
  test.each([
    ['not JSON', 'POST', '/api/sessions', '{', { status: 400, code: 'invalid_request', field: 'body' }],
    ['an unknown key', 'POST', '/api/sessions', { agnet: 'x' }, { status: 400, code: 'invalid_request', field: 'agnet' }],
    ['a wrong type', 'POST', '/api/sessions', { agent: 7 }, { status: 400, code: 'invalid_request', field: 'agent' }],
    ['limits too large', 'POST', '/api/sessions', { limits: { memoryBytes: 2 ** 39 } }, { status: 400, field: 'limits.memoryBytes' }],
    ['a reserved name', 'POST', '/api/sessions', { env: { BERTH_X: '1' } }, { status: 400, field: 'env' }],
    ['a bad branch', 'POST', '/api/sessions', { repository: 'https://h/x', branch: 'a..b' }, { status: 400, field: 'branch' }],
    ['a bad repository', 'POST', '/api/sessions', { repository: 'ext::sh' }, { status: 400, field: 'repository' }],
    ['a branch without repository', 'POST', '/api/sessions', { branch: 'main' }, { status: 400, field: 'repository' }],
    ['an unknown provider', 'POST', '/api/sessions', { provider: 'moon' }, { status: 400, field: 'provider' }],
    ['an unknown session', 'GET', '/api/sessions/ses_no', undefined, { status: 404, code: 'not_found', field: 'id' }],
    ['a bad status', 'GET', '/api/sessions?status=sleepy', undefined, { status: 400, field: 'status' }],
    ['a bad page', 'GET', '/api/sessions?limit=0', undefined, { status: 400, field: 'limit' }],
    ['no such route', 'GET', '/api/nothing', undefined, { status: 404, code: 'not_found' }],
    ['a bad webhook', 'POST', '/api/session/prompt', { prompt: 'x', webhookOnReady: 'ftp://x' }, { status: 400, field: 'webhookOnReady' }],
    ['an empty prompt', 'POST', '/api/session/prompt', { prompt: '' }, { status: 400, field: 'prompt' }],
  ])('%s', async (_name, method, path, body, expected) => {
    expect(await refusal(call(method, path, body))).toMatchObject(expected);
    expect(await store.read.sessions({ limit: 10 })).toEqual([]);
  });

  test('a body that is too large', async () => {
    const big = JSON.stringify({ prompt: 'x'.repeat(17 * 1024 * 1024) });
    const headers = { 'content-length': String(big.length) };
    expect(await refusal(call('POST', '/api/session/prompt', big, headers))).toMatchObject({ status: 413, code: 'payload_too_large' });
  });

  test('what is not a Berth error stays opaque', async () => {
    world.deps.git.check = () => Promise.reject(new Error('secret detail'));
    const error = await refusal(call('POST', '/api/sessions', { repository: 'https://h/x' }));
    expect(error).toMatchObject({ status: 500, code: 'internal' });
    expect(JSON.stringify(error)).not.toContain('secret');
  });
});

describe('prompting', () => {
  test('answers with where the turn stands; the key may be in the header', async () => {
    const id = await newSession();
    const first = await call('POST', `/api/sessions/${id}/turns`, { prompt: 'go' }, { 'idempotency-key': 'k1' });
    expect(first.status).toBe(202);
    const admission = (await first.json()) as { turnId: string };
    expect(admission).toMatchObject({ sessionId: id, queuePosition: expect.any(Number), webhookOnReady: null });
    const again = (await (await call('POST', `/api/sessions/${id}/turns`, { prompt: 'go' }, { 'idempotency-key': 'k1' })).json()) as { turnId: string };
    expect(again.turnId).toBe(admission.turnId);
    expect(await refusal(call('POST', `/api/sessions/${id}/turns`, { prompt: 'other' }, { 'idempotency-key': 'k1' }))).toMatchObject({ status: 409 });
  });

  test('the one-call form makes the session, once per key', async () => {
    const body = { prompt: 'go', agent: 'any', idempotencyKey: 'one' };
    const [a, b] = (await Promise.all(
      [1, 2].map(async () => (await call('POST', '/api/session/prompt', body)).json()),
    )) as { sessionId: string; turnId: string }[];
    expect(b).toMatchObject({ sessionId: a!.sessionId, turnId: a!.turnId });
    expect(await store.read.sessions({ limit: 10 })).toHaveLength(1);
    const next = await call('POST', '/api/session/prompt', { prompt: 'more', sessionId: a!.sessionId });
    expect(next.status).toBe(202);
    expect(await refusal(call('POST', '/api/session/prompt', { prompt: 'x', sessionId: a!.sessionId, agent: 'other' }))).toMatchObject({
      status: 400,
      field: 'agent',
    });
  });
});

describe('rest and copies', () => {
  test('times of rest are set, kept and refused by their field', async () => {
    const id = await newSession();
    const path = `/api/sessions/${id}`;
    const set = await call('PATCH', path, { title: 'Mine', idle: { pauseSeconds: 60, archiveSeconds: null, lastStep: 'destroy' } });
    expect(await set.json()).toMatchObject({
      title: 'Mine',
      idle: { pauseSeconds: 60, archiveSeconds: null, lastStep: 'destroy' },
      archivedAt: null,
    });
    expect(await (await call('PATCH', path, { idle: null })).json()).toMatchObject({ title: 'Mine', idle: null });
    const bad = async (body: object) => (await refusal(call('PATCH', path, body))).field;
    expect(await bad({ idle: { pauseSeconds: 0 } })).toBe('idle.pauseSeconds');
    expect(await bad({ idle: { pauseSeconds: 60, hibernateSeconds: 30 } })).toBe('idle.pauseSeconds');
    expect(await bad({ idle: { lastStep: 'forget' } })).toBe('idle.lastStep');
    expect(await bad({ idle: { pauseMs: 5 } })).toBe('idle.pauseMs');
    expect(await refusal(call('PATCH', path, {}))).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(await refusal(call('PATCH', '/api/sessions/ses_no', { title: 'x' }))).toMatchObject({ status: 404, field: 'id' });
  });

  test('a snapshot by name; what is archived is listed apart', async () => {
    const id = await newSession();
    expect(await (await call('POST', `/api/sessions/${id}/wake`)).json()).toMatchObject({ status: 'idle' });
    const made = await call('POST', `/api/sessions/${id}/snapshots`, { name: 'first' });
    expect([made.status, await made.json()]).toMatchObject([201, { name: 'first', sessionId: id, memory: false }]);
    for (const name of ['', 'a b', '../x', 'snp_1']) {
      expect(await refusal(call('POST', `/api/sessions/${id}/snapshots`, { name }))).toMatchObject({ status: 400, field: 'name' });
    }
    const forks = await call('POST', '/api/snapshots/first/fork', { count: 1 });
    expect([forks.status, await forks.json()]).toMatchObject([201, { sessions: [{ forkedFrom: id }] }]);
    expect((await call('DELETE', '/api/snapshots/first')).status).toBe(204);
    expect(await refusal(call('GET', '/api/snapshots/first'))).toMatchObject({ status: 404, field: 'snapshot' });
    expect(await (await call('POST', `/api/sessions/${id}/rest`, { step: 'archive' })).json()).toMatchObject({ status: 'stopped' });
    const count = async (query: string) =>
      ((await (await call('GET', `/api/sessions${query}`)).json()) as { sessions: object[] }).sessions.length;
    expect([await count(''), await count('?archived=true'), await count('?archived=false')]).toEqual([2, 1, 1]);
  });
});

describe('the queue', () => {
  test('shows who waits; a dead letter is listed and replayed', async () => {
    const ids = [await newSession(), await newSession(), await newSession()];
    const turns: string[] = [];
    for (const id of ids) {
      const response = await call('POST', `/api/sessions/${id}/turns`, { prompt: 'go', priority: 'background' });
      turns.push(((await response.json()) as { turnId: string }).turnId);
    }
    const overview = (await (await call('GET', '/api/queue')).json()) as QueueOverview;
    expect(overview).toMatchObject({
      slots: 2,
      running: 2,
      queued: [{ turnId: turns[2], sessionId: ids[2], owner: 'ada', priority: 'background', position: 1 }],
      estimate: { count: 0, meanAbsoluteErrorSeconds: null },
    });
    expect(await refusal(call('POST', `/api/dead-letters/${turns[0]}/replay`))).toMatchObject({ status: 404, field: 'turnId' });
    await store.transaction((tx) =>
      endTurn(tx, turns[2]!, 'failed', { code: 'unavailable', message: 'not now' }, new Date().toISOString()),
    );
    const list = async (query: string) => (await (await call('GET', `/api/dead-letters${query}`)).json()) as object;
    expect(await list('?waiting=true')).toMatchObject({ deadLetters: [{ turnId: turns[2], code: 'unavailable', replayTurnId: null }] });
    const replayed = await call('POST', `/api/dead-letters/${turns[2]}/replay`);
    expect(replayed.status).toBe(202);
    const { turnId } = (await replayed.json()) as { turnId: string };
    expect(await list('?waiting=true')).toEqual({ deadLetters: [] });
    expect(await list(`?session=${ids[2]}`)).toMatchObject({ deadLetters: [{ replayTurnId: turnId }] });
    expect(await refusal(call('GET', '/api/dead-letters?limit=0'))).toMatchObject({ status: 400, field: 'limit' });
  });

  test('the signing secret is for the owner alone', async () => {
    const secret = 'whsec_c2VjcmV0';
    const served = createApp(dependencies(), { authenticated: [webhookRoutes({ secret })] });
    const asked = (bearer: string) => served.request('/api/webhooks/secret', { headers: { authorization: `Bearer ${bearer}` } });
    const bob = await givenToken(store, 'bob', { role: 'member' });
    expect(await refusal(asked(bob))).toMatchObject({ status: 403, code: 'forbidden' });
    const answer = await asked(token);
    expect([await answer.json(), answer.headers.get('cache-control')]).toEqual([{ secret }, 'no-store']);
  });
});

describe('the event stream', () => {
  test('goes on from any seq without a gap or a double', async () => {
    const id = await newSession();
    const { turnId } = (await (await call('POST', `/api/sessions/${id}/turns`, { prompt: 'go' })).json()) as { turnId: string };
    await core.sessions.waitForTurn(id, turnId, AbortSignal.timeout(50));
    const seen: number[] = [];
    const stop = new AbortController();
    for (let from = 0; seen.length < 4; from = seen.at(-1) ?? 0) {
      const response = await app.request(`/api/sessions/${id}/events?from=${from}`, {
        headers: { authorization: `Bearer ${token}` },
        signal: stop.signal,
      });
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      const { value } = await reader.read();
      for (const [, data] of value!.matchAll(/^data: (.*)$/gm)) seen.push((JSON.parse(data!) as SessionEvent).seq);
      await reader.cancel();
    }
    stop.abort();
    expect(seen).toEqual(seen.map((_, index) => index + 1));
    world.endTurn(turnId);
    await core.sessions.waitForTurn(id, turnId, AbortSignal.timeout(5_000));
    const log = (await (await call('GET', `/api/sessions/${id}/log`)).json()) as { events: SessionEvent[] };
    expect(log.events.map((event) => event.seq)).toEqual(log.events.map((_, index) => index + 1));
    expect(log.events.filter((event) => event.type === 'turn.ended')).toHaveLength(1);
  });
});

test('deleting ends the sandbox and forgets the session', async () => {
  const id = await newSession();
  await call('POST', `/api/sessions/${id}/turns`, { prompt: 'go' });
  expect((await call('DELETE', `/api/sessions/${id}`)).status).toBe(204);
  expect(world.sandboxes.size).toBe(0);
  expect((await call('GET', `/api/sessions/${id}`)).status).toBe(404);
  expect((await call('DELETE', `/api/sessions/${id}`)).status).toBe(404);
});
