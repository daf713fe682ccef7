import { upgradeWebSocket } from '@hono/node-server';
import { streamSSE } from 'hono/streaming';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { listen, type HttpServer } from '../../main/http-server.ts';
import type { Logger } from '../../core/ports/logger.ts';
import type { HostRecord, SessionRecord, SnapshotRecord } from '../../core/ports/store.ts';
import { BerthError } from '../../protocol/errors.ts';
import { createRouter } from '../context.ts';
import { createErrorHandler } from '../errors.ts';
import { createForwarding } from './index.ts';
import { forwardedHeader, signForwarded } from './signature.ts';

/** Two servers over HTTP; the sessions of this test all live on `hst_b`. */

const secret = Buffer.alloc(32, 3);
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const path = '/api/sessions/ses_1/files/content';
let hosts: HostRecord[];
let home: string;
let servers: HttpServer[] = [];

beforeEach(() => {
  hosts = [];
  home = 'hst_b';
});
afterEach(async () => {
  for (const server of servers) await server.close();
  servers = [];
});

const reads = {
  session: async (id: string) => (id === 'ses_1' ? ({ hostId: home } as SessionRecord) : null),
  snapshot: async () => null,
  snapshots: async ({ name }: { name?: string } = {}) => (name === 'mine' ? [{ hostId: home } as SnapshotRecord] : []),
  hosts: async () => hosts,
};

async function start(hostId: string, key = secret): Promise<string> {
  const app = createRouter();
  app.onError(createErrorHandler(silent));
  const forwarding = createForwarding({ reads, hostId, secret: key, now: () => new Date() });
  app.use('/api/*', forwarding.accept);
  app.use('/api/*', async (c, next) => {
    if (c.get('forwarded') === undefined) {
      if (c.req.header('authorization') !== 'Bearer t') throw new BerthError('unauthorized', 'a token is needed');
      c.set('tokenHash', 'ada');
    } else {
      c.set('tokenHash', c.get('forwarded')!.tokenHash);
    }
    c.set('identity', { user: 'ada', role: 'owner', tokenId: 'tok_1', scopes: ['admin'] });
    await next();
  });
  app.use('/api/*', forwarding.forward);
  const who = (c: { get(key: 'tokenHash'): string }) => `${hostId} for ${c.get('tokenHash')}`;
  app.get('/api/sessions/:id/log', (c) => c.text(who(c)));
  app.delete('/api/sessions/:id', (c) => c.body(null, 204));
  app.delete('/api/snapshots/:id', (c) => c.text(who(c)));
  app.put('/api/sessions/:id/files/content', async (c) => {
    const body = await c.req.arrayBuffer();
    return c.json({ bytes: body.byteLength, who: who(c), token: c.req.header('authorization') ?? null }, 201, {
      'x-own': 'kept',
    });
  });
  app.get('/api/sessions/:id/files/content', (c) => {
    throw new BerthError('not_found', 'no such file', { field: c.req.query('path') ?? '' });
  });
  app.get('/api/sessions/:id/files/watch', (c) =>
    streamSSE(c, async (stream) => {
      await stream.writeSSE({ data: 'first' });
      await new Promise((resolve) => c.req.raw.signal.addEventListener('abort', resolve));
      gone.resolve();
    }),
  );
  app.get(
    '/api/sessions/:id/processes/:pid/attach',
    upgradeWebSocket((c) => {
      if (c.req.param('pid') === 'none') throw new BerthError('not_found', 'no such process');
      return {
        onMessage: ({ data }, ws) => {
          if (data === 'end') ws.close(1008, 'enough');
          else if (typeof data === 'string') ws.send(`${hostId} heard ${data}`);
          else ws.send(data as ArrayBuffer);
        },
      };
    }),
  );
  const server = await listen(app, '127.0.0.1', 0);
  servers.push(server);
  hosts.push({ id: hostId, address: server.url, slots: 1, epoch: 1, leaseUntil: null, live: true, registeredAt: '' });
  return server.url;
}

let gone = Promise.withResolvers<void>();
const headers = { authorization: 'Bearer t' };
const json = async (response: Response) => ({ status: response.status, body: (await response.json()) as unknown });

describe('HTTP', () => {
  test('goes to the host of the sandbox with its body, query and answer, in the name of the caller and without the token', async () => {
    const [a] = [await start('hst_a'), await start('hst_b')];
    const response = await fetch(`${a}${path}?path=x%20y`, { method: 'PUT', headers, body: new Uint8Array(3_000_000) });
    expect(response.headers.get('x-own')).toBe('kept');
    expect(await json(response)).toEqual({
      status: 201,
      body: { bytes: 3_000_000, who: 'hst_b for ada', token: null },
    });
    expect((await fetch(`${a}/api/sessions/ses_1`, { method: 'DELETE', headers })).status).toBe(204);
  });

  test('a failure there is that failure here', async () => {
    const [a] = [await start('hst_a'), await start('hst_b')];
    expect(await json(await fetch(`${a}${path}?path=x%20y`, { headers }))).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found', field: 'x y' } },
    });
  });

  test('streams as it comes, and ends there when the caller leaves', async () => {
    gone = Promise.withResolvers();
    const [a] = [await start('hst_a'), await start('hst_b')];
    const leave = new AbortController();
    const response = await fetch(`${a}/api/sessions/ses_1/files/watch`, { headers, signal: leave.signal });
    const reader = response.body!.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toContain('first');
    leave.abort();
    await gone.promise;
  });

  test('what comes from the store, and what lives here, stays here', async () => {
    const [a, b] = [await start('hst_a'), await start('hst_b')];
    const snapshot = async (name: string) =>
      (await fetch(`${a}/api/snapshots/${name}`, { method: 'DELETE', headers })).text();
    expect([await snapshot('mine'), await snapshot('other')]).toEqual(['hst_b for ada', 'hst_a for ada']);
    expect(await (await fetch(`${a}/api/sessions/ses_1/log`, { headers })).text()).toBe('hst_a for ada');
    expect(await json(await fetch(`${b}${path}`, { method: 'PUT', headers, body: 'x' }))).toMatchObject({
      body: { who: 'hst_b for ada', token: 'Bearer t' },
    });
  });

  test('a host that is away, is silent or told no address is named', async () => {
    const [a] = [await start('hst_a'), await start('hst_b')];
    const asked = async () => json(await fetch(`${a}${path}`, { headers }));
    const expected = { status: 503, body: { error: { code: 'unavailable', context: { hostId: 'hst_b' } } } };
    await servers.pop()!.close();
    expect(await asked()).toMatchObject(expected);
    hosts[1] = { ...hosts[1]!, address: null };
    expect(await asked()).toMatchObject(expected);
    hosts[1] = { ...hosts[1], live: false };
    expect(await asked()).toMatchObject(expected);
    hosts.pop();
    expect(await asked()).toMatchObject(expected);
  });

  test('is not sent on twice', async () => {
    const [a] = [await start('hst_a'), await start('hst_b')];
    const original = reads.session;
    let looked = 0;
    // Each server believes that the other has it.
    reads.session = async () => ({ hostId: ['hst_b', 'hst_a'][looked++ % 2] }) as SessionRecord;
    try {
      expect(await json(await fetch(`${a}${path}`, { headers }))).toMatchObject({ status: 503 });
      expect(looked).toBe(2);
    } finally {
      reads.session = original;
    }
  });
});

describe('proof', () => {
  const proven = async (b: string, header: string, method = 'GET') =>
    (await fetch(`${b}/api/sessions/ses_1/log`, { method, headers: { [forwardedHeader]: header } })).status;
  const forwarded = { from: 'hst_a', to: 'hst_b', tokenHash: 'ada' };
  const request = { method: 'GET', path: '/api/sessions/ses_1/log' };

  test('only what a server of the installation signed for this host, this request and about now gets in', async () => {
    const b = await start('hst_b');
    const now = Date.now();
    expect(await proven(b, signForwarded(secret, forwarded, request, now))).toBe(200);
    expect(await proven(b, signForwarded(Buffer.alloc(32, 4), forwarded, request, now))).toBe(401);
    expect(await proven(b, signForwarded(secret, { ...forwarded, to: 'hst_c' }, request, now))).toBe(401);
    expect(await proven(b, signForwarded(secret, forwarded, { ...request, path: '/api/hosts' }, now))).toBe(401);
    expect(await proven(b, signForwarded(secret, forwarded, { ...request, method: 'DELETE' }, now))).toBe(401);
    expect(await proven(b, signForwarded(secret, forwarded, request, now - 600_000))).toBe(401);
    expect(await proven(b, signForwarded(secret, forwarded, request, Number.NaN))).toBe(401);
    const parts = signForwarded(secret, forwarded, request, now).split(' ');
    parts[3] = 'root';
    expect(await proven(b, parts.join(' '))).toBe(401);
    expect(await proven(b, 'x')).toBe(401);
  });

  test('a server with another key is refused by the owner', async () => {
    const [a] = [await start('hst_a', Buffer.alloc(32, 4)), await start('hst_b')];
    expect(await json(await fetch(`${a}${path}`, { headers }))).toMatchObject({ status: 401 });
  });
});

describe('WebSocket', () => {
  function open(
    url: string,
  ): Promise<{ socket: WebSocket; next: () => Promise<string | Buffer>; closed: Promise<number> }> {
    const socket = new WebSocket(url.replace('http', 'ws'), { headers });
    const heard: (string | Buffer)[] = [];
    let wake = (): void => {};
    socket.on('message', (data: Buffer, isBinary) => {
      heard.push(isBinary ? data : data.toString());
      wake();
    });
    const closed = new Promise<number>((resolve) => socket.on('close', resolve));
    const next = async (): Promise<string | Buffer> => {
      while (heard.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return heard.shift()!;
    };
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve({ socket, next, closed }));
      socket.once('error', reject);
    });
  }
  const attach = (server: string, pid: string) => open(`${server}/api/sessions/ses_1/processes/${pid}/attach`);

  test('is joined to one at the host: text, bytes of any size, and its end', async () => {
    const [a] = [await start('hst_a'), await start('hst_b')];
    const { socket, next, closed } = await attach(a, 'p');
    socket.send('hello');
    expect(await next()).toBe('hst_b heard hello');
    const large = Buffer.alloc(2_000_000, 7);
    for (let n = 0; n < 5; n += 1) socket.send(large);
    for (let n = 0; n < 5; n += 1) expect(large.equals((await next()) as Buffer)).toBe(true);
    socket.send('end');
    expect(await closed).toBe(1008);
  });

  test('a refusal there is one here, before it opens', async () => {
    const [a] = [await start('hst_a'), await start('hst_b')];
    await expect(attach(a, 'none')).rejects.toThrow('404');
    hosts[1] = { ...hosts[1]!, live: false };
    await expect(attach(a, 'p')).rejects.toThrow('503');
  });
});
