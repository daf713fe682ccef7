import { Hono } from 'hono';
import { afterEach, expect, test } from 'vitest';
import { BerthError, toErrorBody } from '../protocol/errors.ts';
import { createBerthClient, type BerthClient } from './index.ts';
import { serveApp, type ServedApp } from './serve.fixture.ts';

let served: ServedApp | null = null;
afterEach(async () => {
  await served?.close();
  served = null;
});

async function clientOf(app: Hono): Promise<BerthClient> {
  served = await serveApp(app);
  return createBerthClient({ baseUrl: served.url, token: 'secret' });
}

const admission = {
  sessionId: 'ses_a',
  turnId: 'trn_a',
  status: 'queued',
  queuePosition: 2,
  estimatedWaitSeconds: 30,
  message: 'waiting',
  webhookOnReady: null,
};

test('a failure of the server arrives with code, field, status and context', async () => {
  const app = new Hono();
  app.get('/api/sessions/:id', (c) =>
    c.json(toErrorBody(new BerthError('not_found', 'no such session', { field: 'id', context: { id: 'ses_x' } })), 404),
  );
  const client = await clientOf(app);
  await expect(client.sessions.get('ses_x')).rejects.toMatchObject({
    name: 'BerthError',
    code: 'not_found',
    message: 'no such session',
    field: 'id',
    status: 404,
    context: { id: 'ses_x' },
  });
});

test('a failure that is not from Berth is told by its status, and an answer of another shape is refused', async () => {
  const app = new Hono();
  app.get('/api/health', (c) => c.text('<h1>Bad gateway</h1>', 502));
  app.get('/api/agents', (c) => c.json({ agents: [{ name: 1 }] }));
  const client = await clientOf(app);
  await expect(client.health()).rejects.toMatchObject({ code: 'upstream_failed' });
  await expect(client.agents()).rejects.toMatchObject({ code: 'upstream_failed' });
});

test('an address where nobody listens is unavailable, and a malformed one is refused before any request', async () => {
  const client = createBerthClient({ baseUrl: 'http://127.0.0.1:1', token: 'secret' });
  await expect(client.health()).rejects.toMatchObject({ code: 'unavailable', retryable: true });
  expect(() => createBerthClient({ baseUrl: 'ftp://x', token: '' })).toThrow(/not an http/);
});

test('a prompt whose answer is lost is sent again under the same key, so one turn comes of it', async () => {
  const turns = new Map<string, string>();
  let attempts = 0;
  const app = new Hono();
  app.post('/api/sessions/:id/turns', async (c) => {
    const body = (await c.req.json()) as { idempotencyKey: string };
    turns.set(body.idempotencyKey, 'trn_a');
    attempts++;
    return c.json(admission, 202);
  });
  served = await serveApp(app);
  const client = createBerthClient({
    baseUrl: served.url,
    token: 'secret',
    async fetch(input, init) {
      const response = await fetch(input, init);
      // The server has acted, the network loses its answer.
      if (attempts === 1) throw new TypeError('fetch failed');
      return response;
    },
  });
  await expect(client.sessions.prompt('ses_a', 'hello')).resolves.toMatchObject({ turnId: 'trn_a', queuePosition: 2 });
  expect(attempts).toBe(2);
  expect([...turns.keys()]).toHaveLength(1);
});

test('a call that is not idempotent is never sent twice', async () => {
  let attempts = 0;
  const client = createBerthClient({
    baseUrl: 'http://127.0.0.1:1',
    token: 'secret',
    fetch: () => {
      attempts++;
      return Promise.reject(new TypeError('fetch failed'));
    },
  });
  await expect(client.sessions.exec('ses_a', { argv: ['date'] })).rejects.toMatchObject({ code: 'unavailable' });
  await expect(client.sessions.create({})).rejects.toMatchObject({ code: 'unavailable' });
  expect(attempts).toBe(2);
});

test('exec carries binary input and output', async () => {
  const app = new Hono();
  app.post('/api/sessions/:id/exec', async (c) => {
    const { stdin } = (await c.req.json()) as { stdin: string };
    return c.json({
      exitCode: 3,
      signal: null,
      timedOut: false,
      truncated: false,
      stdout: stdin,
      stderr: '',
      durationMs: 1,
    });
  });
  const client = await clientOf(app);
  const bytes = Uint8Array.from({ length: 20_000 }, (_, index) => index % 256);
  const result = await client.sessions.exec('ses_a', { argv: ['cat'], stdin: bytes });
  expect(result.exitCode).toBe(3);
  expect(result.stdout).toEqual(bytes);
});

test('files stream both ways and the token goes with every request', async () => {
  let stored = new Uint8Array();
  const app = new Hono();
  app.use(async (c, next) => {
    if (c.req.header('authorization') !== 'Bearer secret') return c.json({}, 401);
    return next();
  });
  const info = { path: '/home/user/a', name: 'a', type: 'file', mode: 0o644, modifiedAt: new Date(0).toISOString() };
  app.put('/api/sessions/:id/files/content', async (c) => {
    expect(c.req.query()).toEqual({ path: '/home/user/a', mode: '755', makeParents: 'true' });
    stored = new Uint8Array(await c.req.arrayBuffer());
    return c.json({ ...info, sizeBytes: stored.length });
  });
  app.get('/api/sessions/:id/files/content', (c) => c.body(stored));
  const client = await clientOf(app);
  const source = new Blob([new Uint8Array(300_000).fill(7)]).stream();
  const written = await client.sessions.files.write('ses_a', '/home/user/a', source, {
    mode: 0o755,
    makeParents: true,
  });
  expect(written.sizeBytes).toBe(300_000);
  const back = await new Response(await client.sessions.files.read('ses_a', '/home/user/a')).arrayBuffer();
  expect(new Uint8Array(back)).toEqual(stored);

  const stranger = createBerthClient({ baseUrl: client.baseUrl, token: 'wrong' });
  await expect(stranger.agents()).rejects.toMatchObject({ code: 'unauthorized' });
});

test('the stored log is read to its end over pages, and unknown events do not end it', async () => {
  const app = new Hono();
  const event = (seq: number, type = 'turn.started'): object => ({
    sessionId: 'ses_a',
    seq,
    at: new Date(0).toISOString(),
    turnId: 'trn_a',
    type,
    data: {},
  });
  const all = [event(1), event(2), event(3, 'from.the.future'), event(4, 'from.the.future'), event(5)];
  app.get('/api/sessions/:id/log', (c) => {
    const from = Number(c.req.query('from'));
    return c.json({ events: all.slice(from, from + 2) });
  });
  const client = await clientOf(app);
  const seen: number[] = [];
  for await (const entry of client.sessions.log('ses_a')) seen.push(entry.seq);
  expect(seen).toEqual([1, 2, 5]);
});

test('waiting for a turn outlasts a server that goes away', async () => {
  let calls = 0;
  const app = new Hono();
  app.get('/api/sessions/:id/turns/:turn', (c) => {
    calls++;
    if (calls > 1 && calls < 6) return c.json(toErrorBody(new BerthError('unavailable', 'starting')), 503);
    const at = new Date(0).toISOString();
    return c.json({
      id: 'trn_a',
      sessionId: 'ses_a',
      state: calls === 1 ? 'running' : 'completed',
      by: 'me',
      stopReason: null,
      error: null,
      createdAt: at,
      startedAt: at,
      endedAt: calls === 1 ? null : at,
    });
  });
  const client = await clientOf(app);
  await expect(client.sessions.waitForTurn('ses_a', 'trn_a')).resolves.toMatchObject({ state: 'completed' });
});
