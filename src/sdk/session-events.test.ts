import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { afterEach, expect, test } from 'vitest';
import { BerthError, toErrorBody } from '../protocol/errors.ts';
import { createBerthClient } from './index.ts';
import { serveApp, type ServedApp } from './serve.fixture.ts';

let served: ServedApp | null = null;
afterEach(async () => {
  await served?.close();
  served = null;
});

const event = (seq: number, type = 'turn.started'): object => ({
  sessionId: 'ses_a',
  seq,
  at: new Date(0).toISOString(),
  turnId: 'trn_a',
  type,
  data: {},
});

/** Serves `answers` one after the other: each gets the `from` that was asked for and gives the seqs to send. */
function eventApp(answers: ((from: number) => number[])[], froms: number[]): Hono {
  const app = new Hono();
  app.get('/api/sessions/:id/events', (c) => {
    const from = Number(c.req.query('from'));
    const answer = answers[froms.length] ?? ((): number[] => []);
    froms.push(from);
    return streamSSE(c, async (stream) => {
      for (const seq of answer(from)) await stream.writeSSE({ id: String(seq), data: JSON.stringify(event(seq)) });
      await stream.write(': heartbeat\n\n');
    });
  });
  return app;
}

async function take(events: AsyncIterable<{ seq: number }>, count: number): Promise<number[]> {
  const seqs: number[] = [];
  for await (const { seq } of events) {
    seqs.push(seq);
    if (seqs.length === count) break;
  }
  return seqs;
}

test('a stream that ends early goes on from the last event, without gap or double', async () => {
  const froms: number[] = [];
  served = await serveApp(
    eventApp(
      [
        () => [1, 2, 3],
        // Repeats what the client has, as a server may that only knows Last-Event-ID roughly.
        () => [2, 3, 4],
        (from) => [from + 1, from + 2],
      ],
      froms,
    ),
  );
  const client = createBerthClient({ baseUrl: served.url, token: 'secret' });
  expect(await take(client.sessions.events('ses_a'), 6)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(froms).toEqual([0, 3, 4]);
});

test('a server that dies in the middle of a message and comes back loses nothing', async () => {
  const app = new Hono();
  let crash = (): void => undefined;
  app.get('/api/sessions/:id/events', (c) => {
    const from = Number(c.req.query('from'));
    return streamSSE(c, async (stream) => {
      await stream.writeSSE({ id: String(from + 1), data: JSON.stringify(event(from + 1)) });
      await stream.write(`id: ${from + 2}\ndata: {"sessionId":"ses_a","seq"`);
      if (from === 0) {
        // After the half message has left this process.
        await new Promise((resolve) => setTimeout(resolve, 20));
        crash();
      }
      await stream.write(
        `:${from + 2},"at":"1970-01-01T00:00:00.000Z","turnId":null,"type":"turn.started","data":{}}\n\n`,
      );
    });
  });
  const first = await serveApp(app);
  crash = () => void first.close().then(async () => (served = await serveApp(app, { port: first.port })));
  const lost: string[] = [];
  const client = createBerthClient({ baseUrl: first.url, token: 'secret' });
  const events = client.sessions.events('ses_a', { onReconnect: (error) => lost.push(error.code) });
  expect(await take(events, 5)).toEqual([1, 2, 3, 4, 5]);
  expect(lost.length).toBeGreaterThan(0);
});

test('a gap within a stream is closed by asking again; a gap at the start of a stream is thrown', async () => {
  const froms: number[] = [];
  served = await serveApp(eventApp([() => [1, 3], (from) => [from + 1], () => [7]], froms));
  const client = createBerthClient({ baseUrl: served.url, token: 'secret' });
  const seen: number[] = [];
  await expect(async () => {
    for await (const { seq } of client.sessions.events('ses_a')) seen.push(seq);
  }).rejects.toMatchObject({ code: 'internal' });
  expect(seen).toEqual([1, 2]);
  expect(froms).toEqual([0, 1, 2]);
});

test('events of unknown type, and messages that are no event, are passed over', async () => {
  const app = new Hono();
  app.get('/api/sessions/:id/events', (c) =>
    streamSSE(c, async (stream) => {
      await stream.writeSSE({ data: JSON.stringify(event(1, 'from.the.future')) });
      await stream.writeSSE({ data: 'not json' });
      await stream.writeSSE({ data: JSON.stringify(event(2)) });
    }),
  );
  served = await serveApp(app);
  const client = createBerthClient({ baseUrl: served.url, token: 'secret' });
  expect(await take(client.sessions.events('ses_a'), 1)).toEqual([2]);
});

test('a stream that falls silent is made again', async () => {
  let connections = 0;
  const app = new Hono();
  app.get('/api/sessions/:id/events', (c) =>
    streamSSE(c, async (stream) => {
      const seq = ++connections;
      await stream.writeSSE({ data: JSON.stringify(event(seq)) });
      await new Promise((resolve) => stream.onAbort(() => resolve(null)));
    }),
  );
  served = await serveApp(app);
  const client = createBerthClient({ baseUrl: served.url, token: 'secret' });
  expect(await take(client.sessions.events('ses_a', { silenceLimitMs: 100 }), 2)).toEqual([1, 2]);
});

test('a refusal ends the iteration, at the start and later', async () => {
  let calls = 0;
  const app = new Hono();
  app.get('/api/sessions/:id/events', (c) => {
    calls++;
    if (calls > 1) return c.json(toErrorBody(new BerthError('not_found', 'deleted')), 404);
    return streamSSE(c, (stream) => stream.writeSSE({ data: JSON.stringify(event(1)) }));
  });
  served = await serveApp(app);
  const client = createBerthClient({ baseUrl: served.url, token: 'secret' });
  await expect(take(client.sessions.events('ses_a'), 2)).rejects.toMatchObject({ code: 'not_found' });
  await expect(take(client.sessions.events('ses_a'), 2)).rejects.toMatchObject({ code: 'not_found' });
});

test('the signal ends it, while reading and while waiting to reconnect', async () => {
  const froms: number[] = [];
  served = await serveApp(eventApp([() => [1]], froms));
  const client = createBerthClient({ baseUrl: served.url, token: 'secret' });
  const controller = new AbortController();
  const events = client.sessions.events('ses_a', {
    signal: controller.signal,
    onReconnect: () => controller.abort(),
  });
  await expect(take(events, 2)).rejects.toMatchObject({ code: 'cancelled' });
});

test('over a WebSocket it is the same: broken off, it goes on from the last event', async () => {
  const paths: string[] = [];
  const app = new Hono();
  served = await serveApp(app, {
    onSocket: (socket, path) => {
      paths.push(path);
      const from = Number(new URL(path, 'http://server').searchParams.get('from'));
      socket.send(JSON.stringify({ type: 'heartbeat' }));
      for (const seq of [from, from + 1, from + 2]) socket.send(JSON.stringify(event(seq)));
      setTimeout(() => socket.terminate(), 20);
    },
  });
  const client = createBerthClient({ baseUrl: served.url, token: 'secret' });
  const connected: number[] = [];
  const options = { over: 'websocket' as const, onConnect: () => void connected.push(paths.length) };
  expect(await take(client.sessions.events('ses_a', options), 4)).toEqual([1, 2, 3, 4]);
  expect(paths).toEqual(['/api/sessions/ses_a/stream?from=0', '/api/sessions/ses_a/stream?from=2']);
  expect(connected).toEqual([1, 2]);
});

test('a refused WebSocket tells why', async () => {
  const app = new Hono();
  app.get('/api/sessions/:id', (c) =>
    c.json(toErrorBody(new BerthError('not_found', 'there is no such session')), 404),
  );
  served = await serveApp(app);
  const client = createBerthClient({ baseUrl: served.url, token: 'secret' });
  await expect(take(client.sessions.events('ses_a', { over: 'websocket' }), 1)).rejects.toMatchObject({
    code: 'not_found',
  });
});
