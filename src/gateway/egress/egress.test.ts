import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect, createServer as createSocketServer, type AddressInfo, type Server as SocketServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { judgeEgress, type EgressJudgement, type EgressTarget } from '../../core/egress/judge-egress.ts';
import type { EgressControl } from '../../core/ports/egress.ts';
import type { Logger } from '../../core/ports/logger.ts';
import { parseEgressPolicy } from '../../protocol/egress.ts';
import { createGateway, type Gateway } from '../gateway.ts';
import { createPublicDial, type Resolve } from './public-dial.ts';

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const names: Record<string, string> = { 'site.test': '127.0.0.1', 'inner.test': '10.1.2.3', 'meta.test': '169.254.169.254' };

let policies: Record<string, string>;
let recorded: (EgressTarget & EgressJudgement & { sessionId: string })[];
let resolve: Resolve;
let gateway: Gateway;
let site: Server;
let onSite: (request: IncomingMessage, response: ServerResponse) => void;
let echo: SocketServer;
const channels: ClientHttp2Session[] = [];

const portOf = (server: SocketServer) => (server.address() as AddressInfo).port;

const control: Pick<EgressControl, 'judge' | 'record'> = {
  judge: async (sessionId, target) => judgeEgress(parseEgressPolicy(policies[sessionId] ?? 'none'), null, target),
  record: (sessionId, target, judgement) => void recorded.push({ sessionId, ...target, ...judgement }),
};

beforeEach(async () => {
  policies = { ses_1: 'open' };
  recorded = [];
  resolve = async (host) => (names[host] === undefined ? [] : [{ address: names[host], family: 4 }]);
  onSite = (request, response) => response.end(JSON.stringify({ url: request.url, headers: request.headers }));
  site = createServer((request, response) => onSite(request, response)).listen(0, '127.0.0.1');
  echo = createSocketServer({ allowHalfOpen: true }, (socket) => void socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
  await Promise.all([once(site, 'listening'), once(echo, 'listening')]);
  gateway = createGateway({
    credentials: { find: async () => null },
    placeholderSecret: 's',
    logger: silent,
    egress: { control, dial: createPublicDial({ allowLoopback: true, resolve: (host) => resolve(host) }) },
  });
});

afterEach(async () => {
  for (const channel of channels.splice(0)) channel.destroy();
  gateway.close();
  site.closeAllConnections();
  site.close();
  echo.close();
});

async function channelOf(sessionId: string): Promise<ClientHttp2Session> {
  const directory = await mkdtemp(join(tmpdir(), 'berth-egress-'));
  const server = createSocketServer().listen(join(directory, 'socket'));
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect(join(directory, 'socket'));
  const [far] = await accepted;
  server.close();
  await rm(directory, { recursive: true });
  gateway.attach(sessionId, far);
  const channel = connectHttp2('http://gateway', { createConnection: () => near });
  channel.on('error', () => {});
  channels.push(channel);
  return channel;
}

async function dial(sessionId = 'ses_1'): Promise<ClientHttp2Stream> {
  const stream = (await channelOf(sessionId)).request({ ':method': 'CONNECT', ':authority': 'gateway' });
  stream.on('error', () => {});
  return stream;
}

async function tunnel(authority: string, sessionId = 'ses_1') {
  const stream = await dial(sessionId);
  const request = httpRequest({ method: 'CONNECT', path: authority, createConnection: () => stream });
  request.on('error', () => {});
  request.end();
  const [response, socket, head] = (await once(request, 'connect')) as [IncomingMessage, ClientHttp2Stream, Buffer];
  const body = response.statusCode === 200 ? '' : head.toString() + (await text(socket));
  return { status: response.statusCode, socket, body };
}

async function get(url: string, { sessionId = 'ses_1', headers = {} }: { sessionId?: string; headers?: Record<string, string> } = {}) {
  const stream = await dial(sessionId);
  const request = httpRequest({ path: url, headers: { host: 'elsewhere.test', ...headers }, createConnection: () => stream });
  request.on('error', () => {});
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode, body: await text(response) };
}

describe('tunnels', () => {
  test('carry bytes both ways, half-closed ends included', async () => {
    const { status, socket } = await tunnel(`site.test:${portOf(echo)}`);
    expect(status).toBe(200);
    socket.end('hello');
    expect(await text(socket)).toBe('hello');
    expect(recorded).toEqual([{ sessionId: 'ses_1', host: 'site.test', port: portOf(echo), allowed: true, reason: 'preset open' }]);
  });

  test('each session has its own policy, by the channel and not by what it says', async () => {
    policies = { ses_1: `site.test:${portOf(echo)}`, ses_2: 'none' };
    expect((await tunnel(`site.test:${portOf(echo)}`, 'ses_1')).status).toBe(200);
    const refused = await tunnel(`site.test:${portOf(echo)}`, 'ses_2');
    expect(refused.status).toBe(403);
    expect(refused.body).toContain(`berth egress allow ses_2 site.test:${portOf(echo)}`);
    expect(recorded.at(-1)).toMatchObject({ sessionId: 'ses_2', allowed: false });
  });

  test('a change of policy holds for the next connection', async () => {
    policies = { ses_1: 'none' };
    expect((await tunnel(`site.test:${portOf(echo)}`)).status).toBe(403);
    policies = { ses_1: 'open' };
    expect((await tunnel(`site.test:${portOf(echo)}`)).status).toBe(200);
  });

  test.each(['inner.test:443', 'meta.test:80', '10.0.0.1:22', '169.254.169.254:80', '[::ffff:10.0.0.1]:80', '[fd00::1]:443', '0.0.0.0:80'])(
    'never to the private address %s, whatever the policy',
    async (authority) => {
      const { status, body } = await tunnel(authority);
      expect(status).toBe(403);
      expect(body).toContain('public');
      expect(recorded.at(-1)).toMatchObject({ allowed: false, reason: 'it is not a public address' });
    },
  );

  test('a name with one private address among public ones is refused whole', async () => {
    resolve = async () => [
      { address: '93.184.216.34', family: 4 },
      { address: '192.168.0.1', family: 4 },
    ];
    expect((await tunnel('mixed.test:443')).status).toBe(403);
  });

  test('a name is resolved once: what it answers later does not matter', async () => {
    let asked = 0;
    resolve = async () => {
      asked += 1;
      return [{ address: asked === 1 ? '127.0.0.1' : '10.0.0.1', family: 4 }];
    };
    const { status, socket } = await tunnel(`rebinding.test:${portOf(echo)}`);
    expect(status).toBe(200);
    socket.end('x');
    expect(await text(socket)).toBe('x');
    expect(asked).toBe(1);
  });

  test('what does not answer is a 502, what is no target a 400', async () => {
    expect((await tunnel('nowhere.test:443')).status).toBe(502);
    const free = createSocketServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const port = portOf(free);
    free.close();
    expect((await tunnel(`site.test:${port}`)).status).toBe(502);
    expect((await tunnel('127.1:443')).status).toBe(400);
  });

  test('a client that leaves takes its connection with it', async () => {
    const arrived = once(echo, 'connection') as Promise<[Socket]>;
    const { socket } = await tunnel(`site.test:${portOf(echo)}`);
    const [far] = await arrived;
    const closed = once(far, 'close');
    socket.destroy();
    await closed;
  });
});

describe('plain HTTP', () => {
  const url = (path: string) => `http://site.test:${portOf(site)}${path}`;

  test("goes to the target that was judged, with the client's own credentials and without the proxy's", async () => {
    const { status, body } = await get(url('/a?b=c'), {
      headers: { authorization: 'Bearer own', 'proxy-authorization': 'x', 'x-drop': '1', connection: 'x-drop' },
    });
    expect(status).toBe(200);
    const seen = JSON.parse(body);
    expect(seen.url).toBe('/a?b=c');
    expect(seen.headers).toMatchObject({ host: `site.test:${portOf(site)}`, authorization: 'Bearer own' });
    expect(Object.keys(seen.headers)).not.toEqual(expect.arrayContaining(['proxy-authorization']));
    expect(seen.headers['x-drop']).toBeUndefined();
  });

  test('is refused by policy and by address', async () => {
    expect((await get('http://inner.test/')).status).toBe(403);
    policies = {};
    const { status, body } = await get(url('/'));
    expect([status, body]).toEqual([403, expect.stringContaining('berth egress allow')]);
  });

  test('two requests on one connection are judged apart', async () => {
    policies = { ses_1: `site.test:${portOf(site)}` };
    const stream = await dial();
    stream.write(`GET ${url('/one')} HTTP/1.1\r\nhost: a\r\n\r\n`);
    await once(stream, 'data');
    stream.end('GET http://other.test/two HTTP/1.1\r\nhost: site.test\r\n\r\n');
    expect(await text(stream)).toContain('403 Forbidden');
  });

  test.each([
    ['two lengths', 'content-length: 5\r\ncontent-length: 6\r\n'],
    ['a length and chunks', 'content-length: 5\r\ntransfer-encoding: chunked\r\n'],
    ['an unknown coding', 'transfer-encoding: chunked, x\r\n'],
    ['a bare line feed in a header', 'x: a\nhost: evil.test\r\n'],
  ])('smuggling by %s is refused and reaches nobody', async (_name, headers) => {
    let seen = 0;
    onSite = (_request, response) => {
      seen += 1;
      response.end();
    };
    const stream = await dial();
    stream.end(`POST ${url('/')} HTTP/1.1\r\nhost: site.test\r\n${headers}\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n`);
    expect(await text(stream)).toMatch(/^HTTP\/1\.1 400/);
    expect(seen).toBe(0);
  });
});
