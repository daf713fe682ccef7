import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { createCore, type Core } from '../../core/create-core.ts';
import type { Logger } from '../../core/ports/logger.ts';
import type { Store } from '../../core/ports/store.ts';
import { createProviders } from '../../core/providers.ts';
import { givenToken } from '../../core/testing/accounts.ts';
import { createWorld } from '../../core/testing/doubles.ts';
import { hashToken } from '../../core/users/principal.ts';
import { listen, type HttpServer } from '../../main/http-server.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createApp } from '../app.ts';
import { createBrowserLogin } from '../browser-login.ts';
import { parsePreviewHost, previewHost } from './preview-addresses.ts';
import { createPreviewApp } from './preview-app.ts';
import { createPreviewLinks, type PreviewLinks } from './preview-links.ts';

const domain = 'preview.test';
let store: Store;
let core: Core;
let links: PreviewLinks;
let outer: HttpServer;
let previews: HttpServer;
let inner: Server;
let token: string;
let id: string;
let port: number;
let seen: IncomingMessage[];
let answer: Parameters<typeof createServer>[1] & object;
let now: number;
let usesDomain: boolean;
let logged: string[];
const login = createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: async () => true });

beforeEach(async () => {
  now = Date.now();
  usesDomain = true;
  store = await createSqliteStore({ path: ':memory:' });
  const world = createWorld(store);
  const dialable = {
    ...world.provider,
    capabilities: { ...world.provider.capabilities, ports: 'dynamic' as const },
    async dial(_id: string, to: number) {
      const socket = connect({ host: '127.0.0.1', port: to, allowHalfOpen: true });
      await once(socket, 'connect');
      return socket;
    },
  };
  world.deps.providers = createProviders([dialable]);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(5_000));
  token = await givenToken(store, 'ada');
  const { agents, installer, settings: { hostId } } = world.deps;
  logged = [];
  const keep = (fields: object, message: string): void => void logged.push(JSON.stringify([fields, message]));
  const logger: Logger = { debug: keep, info: keep, warn: keep, error: keep, child: () => logger };
  links = createPreviewLinks({ secret: new Uint8Array(32), now: () => new Date(now) });
  const settings = {
    baseUrl: () => previews.url,
    get domain() {
      return usesDomain ? domain : null;
    },
  };
  outer = await listen(
    createApp({
      core,
      store,
      agents,
      installer,
      logger,
      providerName: 'memory',
      version: '0',
      report: async () => [],
      browser: { login, publicUrl: () => null },
      previews: { links, settings },
    }),
    '127.0.0.1',
    0,
  );
  previews = await listen(createPreviewApp({ core, reads: store.read, hostId, links, settings, logger }), '127.0.0.1', 0);
  id = (await core.sessions.create({ agent: 'any', permissions: 'ask' }, 'ada', AbortSignal.timeout(5_000))).id;
  seen = [];
  answer = (_request, response) => response.end('hello');
  inner = createServer((request, response) => {
    seen.push(request);
    answer(request, response);
  }).listen(0, '127.0.0.1');
  await once(inner, 'listening');
  port = (inner.address() as AddressInfo).port;
});
afterEach(async () => {
  inner.closeAllConnections();
  inner.close();
  await previews.close();
  await outer.close();
  await core.close();
  await store.close();
});

const listenerPort = () => Number(new URL(previews.url).port);

async function newLink(): Promise<URL> {
  const response = await fetch(`${outer.url}/api/sessions/${id}/ports/${port}/preview`, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
  expect(response.status).toBe(201);
  return new URL(((await response.json()) as { url: string }).url);
}

/** As a browser that has resolved the name to the listener. */
async function open(url: URL, headers: OutgoingHttpHeaders = {}, method = 'GET') {
  const outgoing = httpRequest({ host: '127.0.0.1', port: listenerPort(), path: url.pathname + url.search, method, headers: { host: url.host, ...headers } }).end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

async function visit(): Promise<{ page: URL; cookie: string }> {
  const link = await newLink();
  const { headers } = await open(link);
  return { page: new URL(headers.location!, link), cookie: headers['set-cookie']![0]!.split(';')[0]! };
}

describe('by host', () => {
  test('a link becomes a cookie of that host, once', async () => {
    const link = await newLink();
    expect(link.host).toBe(`${port}-${id.slice(4)}.${domain}:${listenerPort()}`);
    const first = await open(link);
    expect(first).toMatchObject({ status: 302, headers: { location: '/', 'referrer-policy': 'no-referrer' } });
    const cookie = first.headers['set-cookie']![0]!;
    expect(cookie).toMatch(/^berth_preview_[0-9a-f]{8}=/);
    expect(cookie).toContain('HttpOnly');
    expect(cookie).toContain('SameSite=Lax');
    expect(cookie).not.toMatch(/domain/i);
    expect((await open(link)).status).toBe(401);
    const page = new URL('/deep?q=1', link);
    expect(await open(page, { cookie: cookie.split(';')[0] })).toMatchObject({ status: 200, body: 'hello' });
    expect(seen[0]?.url).toBe('/deep?q=1');
    // It is of this port of this session.
    const other = new URL(page.href.replace(`//${port}-`, '//81-'));
    expect((await open(other, { cookie: cookie.split(';')[0] })).status).toBe(401);
    expect((await open(page)).status).toBe(401);
    const told = (await store.read.audit({ limit: 10, order: 'newest' })).find(({ action }) => action === 'preview.link_created');
    expect(told).toMatchObject({ actor: 'user:ada', target: String(port), sessionId: id });
  });

  test("the page's own cookies and credentials pass, Berth's do not", async () => {
    const { page, cookie } = await visit();
    answer = (_request, response) =>
      response.writeHead(200, { 'set-cookie': ['a=1; Path=/; Domain=preview.test', `${links.cookieName}=x`, 'b=2; domain; HttpOnly'], 'strict-transport-security': 'max-age=1' }).end();
    const { headers } = await open(page, { cookie: `mine=1; ${cookie}; berth_x=2`, authorization: 'Bearer of-the-page' });
    expect(seen[0]?.headers).toMatchObject({ cookie: 'mine=1; berth_x=2', authorization: 'Bearer of-the-page', host: `localhost:${port}` });
    expect(headers['set-cookie']).toEqual(['a=1; Path=/', 'b=2; HttpOnly']);
    expect(headers['strict-transport-security']).toBeUndefined();
    expect(headers['content-security-policy']).toBeUndefined();
    await open(page, { cookie, authorization: `Bearer ${token}` });
    expect(seen[1]?.headers.authorization).toBeUndefined();
    expect(seen[1]?.headers.cookie).toBeUndefined();
  });

  test('ends with its time, the token, and the session', async () => {
    const { page, cookie } = await visit();
    now += 13 * 60 * 60_000;
    expect((await open(page, { cookie })).status).toBe(401);
    now -= 13 * 60 * 60_000;
    expect((await open(page, { cookie })).status).toBe(200);
    const late = await newLink();
    now += 11 * 60_000;
    expect((await open(late)).status).toBe(401);
    const record = (await store.read.tokenByHash(hashToken(token)))!;
    await store.transaction((tx) => tx.updateToken(record.id, { revokedAt: new Date().toISOString() }));
    expect((await open(page, { cookie })).status).toBe(401);
  });

  test('a WebSocket of its own page, and not of another', async () => {
    const sockets = new WebSocketServer({ server: inner });
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`echo ${String(data)}`)));
    const { page, cookie } = await visit();
    const dial = (origin: string) =>
      new WebSocket(`ws://127.0.0.1:${listenerPort()}/ws`, { headers: { host: page.host, cookie, origin } });
    const own = dial(`http://${page.host}`);
    await once(own, 'open');
    own.send('x');
    expect(String(((await once(own, 'message')) as [Buffer])[0])).toBe('echo x');
    own.close();
    const foreign = dial('http://evil.test');
    const [, refused] = (await once(foreign, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(refused.statusCode).toBe(403);
    foreign.on('error', () => {});
    foreign.terminate();
    sockets.close();
  });
});

describe('by path', () => {
  beforeEach(() => void (usesDomain = false));

  test('a signed address shows a page without an origin', async () => {
    const link = await newLink();
    expect(link.host).toBe(new URL(previews.url).host);
    answer = (_request, response) => response.writeHead(200, { 'set-cookie': 'a=1', location: '/next' }).end('hello');
    const { status, headers, body } = await open(new URL('x.js', link), { cookie: `${login.cookieName}=secret`, authorization: `Bearer ${token}` });
    expect({ status, body }).toEqual({ status: 200, body: 'hello' });
    expect(headers['content-security-policy']).toContain('sandbox');
    expect(headers['content-security-policy']).not.toContain('allow-same-origin');
    expect(headers['access-control-allow-origin']).toBe('*');
    expect(headers['set-cookie']).toBeUndefined();
    expect(headers['location']).toBe(`${link.pathname}next`);
    expect(seen[0]).toMatchObject({ url: '/x.js' });
    expect(seen[0]?.headers.cookie).toBeUndefined();
    expect(seen[0]?.headers.authorization).toBeUndefined();
    expect((await open(link, { 'access-control-request-method': 'PUT' }, 'OPTIONS')).status).toBe(204);
    expect(seen).toHaveLength(1);
  });

  test('what is changed, ended, or made for something else is refused', async () => {
    const link = await newLink();
    const [, , address = ''] = link.pathname.split('/');
    const [body = '', mac = ''] = address.split('.');
    const forged = Buffer.from(Buffer.from(body, 'base64url').toString().replace(`"port":${port}`, '"port":22')).toString('base64url');
    for (const path of [`/p/${forged}.${mac}/`, `/p/${body}/`, `/p/${body}.${mac}x/`, '/p/', '/', `/p/${links.createVisit({ sessionId: id, port, tokenHash: 'x' })}/`]) {
      expect([path, (await open(new URL(path, link))).status]).toEqual([path, 401]);
    }
    now += 13 * 60 * 60_000;
    expect((await open(link)).status).toBe(401);
    expect(seen).toEqual([]);
    expect(logged.join('')).toContain('/p/.../');
    expect(logged.join('')).not.toContain(body.slice(0, 40));
  });
});

describe('a hostile page', () => {
  test("finds nothing of Berth's on its origin", async () => {
    const { page, cookie } = await visit();
    for (const path of ['/api/sessions', '/api/me', '/api/openapi.json']) {
      // Even with a token: it is the server inside that answers.
      expect((await open(new URL(path, page), { cookie, authorization: `Bearer ${token}` })).body).toBe('hello');
      expect((await open(new URL(path, previews.url), { authorization: `Bearer ${token}` })).status).toBe(401);
    }
  });

  test('cannot use the signed-in browser', async () => {
    const { page } = await visit();
    const cookie = `${login.cookieName}=${login.signCookie({ tokenHash: hashToken(token), own: false })}`;
    const call = (path: string, init: RequestInit) => fetch(outer.url + path, { ...init, headers: { cookie, ...init.headers } });
    for (const origin of [page.origin, new URL(previews.url).origin, 'null']) {
      const read = await call('/api/me', { headers: { origin, 'sec-fetch-site': 'same-site' } });
      expect(read.status).toBe(403);
      expect(read.headers.get('access-control-allow-origin')).toBeNull();
      expect((await call(`/api/sessions/${id}/interrupt`, { method: 'POST', headers: { origin } })).status).toBe(403);
    }
    expect((await call('/api/me', {})).status).toBe(200);
  });
});

test('names of hosts are read strictly', () => {
  expect(parsePreviewHost(domain, previewHost(domain, id, 3000))).toEqual({ sessionId: id, port: 3000 });
  const ulid = id.slice(4);
  for (const host of [`0-${ulid}.${domain}`, `70000-${ulid}.${domain}`, `80-${ulid}x.${domain}`, `80-${ulid}.evil.${domain}`, `80-${ulid}${domain}`, domain, `80-${ulid}.other.test`]) {
    expect(parsePreviewHost(domain, host)).toBeNull();
  }
});
