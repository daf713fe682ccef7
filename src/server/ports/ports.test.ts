import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { createCore, type Core } from '../../core/create-core.ts';
import type { Store } from '../../core/ports/store.ts';
import { createProviders } from '../../core/providers.ts';
import { createWorld, type World } from '../../core/testing/doubles.ts';
import { listen, type HttpServer } from '../../main/http-server.ts';
import { BerthError } from '../../protocol/errors.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createApp } from '../app.ts';
import { givenToken } from '../../core/testing/accounts.ts';
import { createBrowserLogin, usedCodes } from '../browser-login.ts';

/** A real server before a real one "inside": only the way between them is a loopback connection here. */
let store: Store;
let world: World;
let core: Core;
let outer: HttpServer;
let inner: Server;
let token: string;
let id: string;
let port: number;
let seen: IncomingMessage[];
let answer: Parameters<typeof createServer>[1] & object;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store);
  const { provider } = world;
  const dialable = {
    ...provider,
    capabilities: { ...provider.capabilities, ports: 'dynamic' as const },
    async dial(_id: string, to: number) {
      const socket = connect({ host: '127.0.0.1', port: to, allowHalfOpen: true });
      await once(socket, 'connect').catch(() => {
        throw new BerthError('unavailable', 'refused');
      });
      return socket;
    },
  };
  world.deps.providers = createProviders([dialable]);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(5_000));
  token = await givenToken(store, 'ada');
  const { agents, installer, logger } = world.deps;
  const login = createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: usedCodes(store) });
  const browser = { login, publicUrl: () => null };
  const report = async () => [];
  const app = createApp({
    core,
    store,
    browser,
    agents,
    installer,
    logger,
    providerName: 'memory',
    version: '0',
    report,
  });
  outer = await listen(app, '127.0.0.1', 0);
  id = (await core.sessions.create({ agent: 'any', permissions: 'ask' }, 'ada', AbortSignal.timeout(5_000))).id;

  seen = [];
  answer = (_req, res) => res.end('hello');
  inner = createServer((req, res) => {
    seen.push(req);
    answer(req, res);
  });
  inner.listen(0, '127.0.0.1');
  await once(inner, 'listening');
  port = (inner.address() as AddressInfo).port;
});
afterEach(async () => {
  inner.closeAllConnections();
  inner.close();
  await outer.close();
  await core.close();
  await store.close();
});

const at = (path: string) => `${outer.url}/api/sessions/${id}/ports/${port}${path}`;
const get = (
  path: string,
  { headers = {}, ...init }: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> } = {},
) => fetch(at(path), { redirect: 'manual', ...init, headers: { authorization: `Bearer ${token}`, ...headers } });
const uses = () => store.read.sandboxUses({ sessionId: id });

describe('HTTP to a port', () => {
  test('arrives whole, without what is for Berth alone', async () => {
    answer = (req, res) => void req.pipe(res.writeHead(201, { 'x-mine': 'yes', 'set-cookie': 'berth=stolen' }));
    const response = await get('/a%20b/c?d=e&f', {
      method: 'PUT',
      body: 'x'.repeat(200_000),
      headers: { cookie: 'berth=secret', 'x-own': '1', te: 'trailers' },
    });
    expect(response.status).toBe(201);
    expect(await response.text()).toHaveLength(200_000);
    expect(seen[0]).toMatchObject({ method: 'PUT', url: '/a%20b/c?d=e&f' });
    const { headers } = seen[0]!;
    expect(headers).toMatchObject({
      host: `localhost:${port}`,
      'x-own': '1',
      'x-forwarded-prefix': new URL(at('')).pathname,
    });
    expect(JSON.stringify(headers)).not.toContain(token);
    for (const name of ['authorization', 'cookie', 'te']) expect(headers).not.toHaveProperty(name);
    expect(response.headers.get('x-mine')).toBe('yes');
    expect(response.headers.get('set-cookie')).toBeNull();
    // Hostile pages are served beside Berth's own: the browser must not take them for one.
    expect(response.headers.get('content-security-policy')).toContain('sandbox allow-scripts');
    expect(response.headers.get('content-security-policy')).not.toContain('allow-same-origin');
  });

  test('wakes the sandbox, and streams while it keeps it from its rest', async () => {
    await core.sessions.wake(id, AbortSignal.timeout(5_000), 'ada');
    await core.sessions.rest(id, 'hibernate', 'ada');
    const go = Promise.withResolvers<void>();
    answer = async (_req, res) => {
      res.write('first');
      await go.promise;
      res.end('second');
    };
    const reader = (await get('/')).body!.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('first');
    expect((await uses())[0]?.status).toBe('running');
    await expect(core.sessions.rest(id, 'hibernate', 'ada')).rejects.toMatchObject({ code: 'conflict' });
    go.resolve();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('second');
    expect((await reader.read()).done).toBe(true);
    await expect
      .poll(() =>
        core.sessions.rest(id, 'hibernate', 'ada').then(
          ({ status }) => status,
          () => null,
        ),
      )
      .toBe('hibernated');
  });

  test('redirects stay below the address; a caller that leaves ends the request inside', async () => {
    answer = (req, res) =>
      void res.writeHead(302, { location: req.url === '/a' ? '/login?x' : `http://localhost:${port}/b` }).end();
    expect((await get('/a')).headers.get('location')).toBe(new URL(at('/login?x')).pathname + '?x');
    expect((await get('/z')).headers.get('location')).toBe(new URL(at('/b')).pathname);
    expect((await get('')).status).toBe(308);
    const closed = Promise.withResolvers<void>();
    answer = (_req, res) => {
      res.once('close', closed.resolve);
      res.write('x');
    };
    const left = new AbortController();
    await get('/', { signal: left.signal });
    left.abort();
    await closed.promise;
    answer = (_req, res) => void res.writeHead(304).end();
    expect((await get('/')).status).toBe(304);
  });

  test('says what is wrong: nobody listens, no HTTP, no such port, no token', async () => {
    const refusal = async (response: Response) => ({
      status: response.status,
      ...((await response.json()) as { error: object }).error,
    });
    answer = (req) => req.socket.destroy();
    expect(await refusal(await get('/'))).toMatchObject({ status: 502, code: 'upstream_failed', field: 'port' });
    inner.close();
    inner.closeAllConnections();
    expect(await refusal(await get('/'))).toMatchObject({
      status: 502,
      code: 'upstream_failed',
      message: `nothing listens on port ${port} in the sandbox`,
    });
    const other = (path: string) =>
      fetch(`${outer.url}/api/sessions/${path}`, { headers: { authorization: `Bearer ${token}` } });
    expect(await refusal(await other(`${id}/ports/70000/`))).toMatchObject({ status: 400, field: 'port' });
    expect(await refusal(await other(`ses_no/ports/80/`))).toMatchObject({ status: 404, field: 'id' });
    expect((await fetch(at('/'))).status).toBe(401);
    expect((await uses())[0]?.status).toBe('running');
  });
});

test('a WebSocket goes through, with its subprotocol and without the token', async () => {
  const sockets = new WebSocketServer({ server: inner, handleProtocols: (offered) => [...offered][0] ?? false });
  const offered: (string | undefined)[] = [];
  sockets.on('connection', (socket, request) => {
    offered.push(request.headers['sec-websocket-protocol']);
    socket.send('welcome');
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on('close', (code) => offered.push(String(code)));
  });
  const socket = new WebSocket(at('/live?x=1').replace('http', 'ws'), ['berth', `berth.token.${token}`, 'graphql-ws']);
  const messages: unknown[] = [];
  socket.on('message', (data: Buffer, isBinary) => messages.push(isBinary ? [...data] : data.toString()));
  await once(socket, 'open');
  expect(socket.protocol).toBe('graphql-ws');
  socket.send('text');
  socket.send(Buffer.from([1, 2, 255]));
  await expect.poll(() => messages).toEqual(['welcome', 'text', [1, 2, 255]]);
  socket.close(4001);
  await expect.poll(() => offered).toEqual(['graphql-ws', '4001']);

  inner.removeAllListeners('upgrade');
  inner.on('upgrade', (_request, raw) => raw.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n'));
  const refused = new WebSocket(at('/').replace('http', 'ws'), ['berth', `berth.token.${token}`]);
  const [, response] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage];
  expect(response.statusCode).toBe(502);
  response.destroy();
  sockets.close();
});

test('a raw stream carries bytes both ways and ends each by itself', async () => {
  const { createServer: createTcp } = await import('node:net');
  const tcp = createTcp({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => void chunks.push(chunk));
    socket.on('end', () => socket.end(Buffer.concat(chunks)));
  });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const to = (tcp.address() as AddressInfo).port;
  const protocols = ['berth', `berth.token.${token}`];
  const socket = new WebSocket(`${outer.url.replace('http', 'ws')}/api/sessions/${id}/forward/${to}`, protocols);
  const got: Buffer[] = [];
  socket.on('message', (data: Buffer) => void got.push(data));
  await once(socket, 'open');
  const sent = Buffer.alloc(3_000_000, 'abc');
  for (let from = 0; from < sent.length; from += 65_536) socket.send(sent.subarray(from, from + 65_536));
  socket.send(Buffer.alloc(0));
  await once(socket, 'close');
  expect(Buffer.concat(got).equals(sent)).toBe(true);
  tcp.close();
});
