import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, RequestOptions, Server, ServerResponse } from 'node:http';
import { connect, constants } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { connect as connectSocket, createServer as createSocketServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { duplexPair, type Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startRunner } from '../../test/fixtures/start-runner.ts';
import { gzipSync } from 'node:zlib';
import type { Logger } from '../core/ports/logger.ts';
import type { ModelCallUsage, ModelMeter } from '../core/ports/model-meter.ts';
import { BerthError } from '../protocol/errors.ts';
import { environmentCredentials } from './credentials/environment.ts';
import { createGateway, parseTarget } from './gateway.ts';
import type { Gateway } from './gateway.ts';
import { placeholderKey } from './placeholder.ts';
import type { ModelUpstreams } from './upstreams.ts';

const secret = 'test-secret';
const realKey = 'sk-real-canary-6a1f';
const session = 'ses_01';

let lines: string[];
/** What the meter was told, and how it lets calls begin. */
let counted: ModelCallUsage[];
let onBegin: ModelMeter['begin'];
let upstream: Server;
let upstreamUrl: string;
let onUpstream: (request: IncomingMessage, response: ServerResponse) => void;
let gateway: Gateway;
const open: { session: ClientHttp2Session }[] = [];

function recordingLogger(): Logger {
  const write = (fields: object, message: string): void => void lines.push(JSON.stringify({ ...fields, message }));
  const logger: Logger = { debug: write, info: write, warn: write, error: write, child: () => logger };
  return logger;
}

beforeEach(async () => {
  lines = [];
  counted = [];
  onBegin = async () => ({ end: async (usage) => void counted.push(usage) });
  onUpstream = (request, response) => {
    text(request).then(
      (body) => response.end(JSON.stringify({ url: request.url, headers: request.headers, body })),
      () => response.destroy(),
    );
  };
  upstream = createServer((request, response) => onUpstream(request, response));
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  start({
    anthropic: { baseUrl: upstreamUrl, apiKey: realKey },
    openai: { baseUrl: `${upstreamUrl}/v1`, apiKey: realKey },
    gemini: { baseUrl: upstreamUrl, apiKey: realKey },
  });
});

afterEach(async () => {
  for (const entry of open.splice(0)) entry.session.destroy();
  gateway.close();
  upstream.closeAllConnections();
  await new Promise((resolve) => upstream.close(resolve));
  expect(lines.join('\n')).not.toContain(realKey);
});

function start(upstreams: ModelUpstreams, maxBodyBytes?: number): void {
  gateway?.close();
  gateway = createGateway({
    credentials: { find: async (_sessionId, api) => environmentCredentials(upstreams)(api) },
    meter: { begin: (...given) => onBegin(...given) },
    placeholderSecret: secret,
    logger: recordingLogger(),
    ...(maxBodyBytes === undefined ? {} : { maxBodyBytes }),
  });
}

async function socketPair(): Promise<[Socket, Socket]> {
  const directory = await mkdtemp(join(tmpdir(), 'berth-gateway-'));
  const server = createSocketServer().listen(join(directory, 'socket'));
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connectSocket(join(directory, 'socket'));
  const [far] = await accepted;
  server.close();
  await rm(directory, { recursive: true });
  return [near, far];
}

/** The runner's end of a channel: an HTTP/2 client that opens CONNECT streams. */
async function attach(sessionId = session): Promise<ClientHttp2Session> {
  const [near, far] = await socketPair();
  gateway.attach(sessionId, far);
  const client = connect('http://gateway', { createConnection: () => near, maxSessionMemory: 64 });
  client.on('error', () => {});
  open.push({ session: client });
  return client;
}

function dial(client: ClientHttp2Session): ClientHttp2Stream {
  const stream = client.request({ ':method': 'CONNECT', ':authority': '127.0.0.1:8079' });
  stream.on('error', () => {});
  return stream;
}

type CallOptions = Omit<RequestOptions, 'headers'> & {
  headers?: Record<string, string>;
  body?: string | Buffer;
  stream?: Duplex;
};

interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  body: string;
}

async function call(path: string, options: CallOptions = {}): Promise<Answer> {
  const response = await begin(path, options);
  return { status: response.statusCode!, headers: response.headers, body: await text(response) };
}

async function begin(path: string, options: CallOptions = {}): Promise<IncomingMessage> {
  const stream = options.stream ?? dial(await attach());
  const request = httpRequest({
    method: options.body === undefined ? 'GET' : 'POST',
    createConnection: () => stream,
    ...options,
    path,
    headers: { 'x-api-key': placeholderKey(session, secret), ...options.headers },
  });
  request.on('error', () => {});
  request.end(options.body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
}

describe('credentials', () => {
  test('the upstream sees the real key and never the placeholder', async () => {
    const answer = await call('/anthropic/v1/messages?beta=true', {
      body: '{"a":1}',
      headers: {
        cookie: 'a=b',
        'x-forwarded-for': '1.2.3.4',
        'anthropic-version': '2023-06-01',
        connection: 'x-drop',
        'x-drop': '1',
      },
    });
    expect(answer.status).toBe(200);
    const seen = JSON.parse(answer.body);
    expect(seen).toMatchObject({ url: '/v1/messages?beta=true', body: '{"a":1}' });
    expect(seen.headers).toMatchObject({ 'x-api-key': realKey, 'anthropic-version': '2023-06-01' });
    expect(Object.keys(seen.headers)).not.toEqual(expect.arrayContaining(['cookie']));
    expect(seen.headers['x-forwarded-for']).toBeUndefined();
    expect(seen.headers['x-drop']).toBeUndefined();
    expect(answer.body).not.toContain('sk-berth-');
  });

  test.each([
    ['openai', '/openai/v1/responses', { authorization: `Bearer ${placeholderKey(session, secret)}` }, '/v1/responses'],
    [
      'openai',
      '/openai/v1/chat/completions',
      { authorization: `Bearer ${placeholderKey(session, secret)}` },
      '/v1/chat/completions',
    ],
    [
      'gemini',
      '/gemini/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse',
      { 'x-goog-api-key': placeholderKey(session, secret) },
      '/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse',
    ],
    [
      'gemini',
      `/gemini/v1beta/models/gemini-2.5-pro:generateContent?key=${placeholderKey(session, secret)}`,
      {},
      '/v1beta/models/gemini-2.5-pro:generateContent',
    ],
  ])('%s %s', async (api, path, headers, upstreamPath) => {
    const answer = await call(path, { body: '{}', headers: { 'x-api-key': '', ...headers } });
    expect(answer.status).toBe(200);
    const seen = JSON.parse(answer.body);
    expect(seen.url).toBe(upstreamPath);
    expect(api === 'openai' ? seen.headers.authorization : seen.headers['x-goog-api-key']).toBe(
      api === 'openai' ? `Bearer ${realKey}` : realKey,
    );
  });

  test("a subscription token goes as a bearer with its beta flag beside the client's own", async () => {
    start({ anthropic: { baseUrl: upstreamUrl, authToken: realKey } });
    const answer = await call('/anthropic/v1/messages', { body: '{}', headers: { 'anthropic-beta': 'context-1m' } });
    const { headers } = JSON.parse(answer.body);
    expect(headers.authorization).toBe(`Bearer ${realKey}`);
    expect(headers['anthropic-beta']).toBe('context-1m,oauth-2025-04-20');
    expect(headers['x-api-key']).toBeUndefined();
  });

  test.each(['', 'wrong', placeholderKey('ses_02', secret), realKey])('401 for the credential %j', async (key) => {
    const answer = await call('/anthropic/v1/messages', { body: '{}', headers: { 'x-api-key': key } });
    expect(answer.status).toBe(401);
    expect(JSON.parse(answer.body)).toMatchObject({ type: 'error', error: { type: 'authentication_error' } });
  });

  test("an upstream's own 401 is replaced, for it may quote the key", async () => {
    onUpstream = (request, response) => {
      request.resume();
      response.writeHead(401).end(`Incorrect API key: ${realKey}`);
    };
    const answer = await call('/openai/v1/responses', { body: '{}' });
    expect(answer.status).toBe(401);
    expect(answer.body).toContain('OPENAI_API_KEY of the Berth server');
    expect(answer.body).not.toContain(realKey);
  });
});

describe('routes', () => {
  test.each([
    '/anthropic/v1/organizations',
    '/anthropic/v1/messages/../organizations',
    '/anthropic/v1/messages/batches',
    '/anthropic//v1/messages',
    '/anthropic/v1/%6dessages',
    '/openai/v1/files',
    '/gemini/v1beta/models/a:delete',
    '/gemini/v1beta/models/a/../b:generateContent',
  ])('404 for %s', async (path) => {
    expect((await call(path, { body: '{}' })).status).toBe(404);
  });

  test.each(['http://example.com/', '/', '/other', '/anthropic'])('403 for %s', async (path) => {
    const answer = await call(path);
    expect(answer.status).toBe(403);
    expect(answer.body).toContain('no network');
  });

  test('CONNECT and Upgrade are refused', async () => {
    for (const head of [
      'CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n',
      'GET /anthropic/v1/models HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
    ]) {
      const stream = dial(await attach());
      stream.write(head);
      expect(String(await buffer(stream))).toMatch(/^HTTP\/1.1 403 Forbidden[^]*no network/);
    }
  });

  test('what is not HTTP ends the connection', async () => {
    const stream = dial(await attach());
    stream.write('\x16\x03\x01garbage\r\n\r\n');
    expect(String(await buffer(stream))).toMatch(/^HTTP\/1.1 400/);
  });

  test('a stream that is not CONNECT is refused', async () => {
    const stream = (await attach()).request({ ':path': '/anthropic/v1/models' });
    const [headers] = (await once(stream, 'response')) as [{ ':status': number }];
    expect(headers[':status']).toBe(405);
  });

  test('a stream that is reset in the breath that opened it is no stream, and the next one works', async () => {
    const [near, far] = duplexPair();
    gateway.attach(session, far);
    near.resume();
    // RFC 9113, 4.1: a length of three bytes, type, flags, a stream of four bytes.
    const frame = (type: number, flags: number, stream: number, payload: Buffer) =>
      Buffer.concat([Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream]), payload]);
    // RFC 7541, 6.2.2: names and values as they are.
    const field = (name: string, value: string) => Buffer.from(`\0${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`, 'latin1');
    const [headers, reset, settings] = [1, 3, 4];
    const streams = [1, 3, 5, 7].map((stream) =>
      Buffer.concat([
        frame(headers, 4, stream, Buffer.concat([field(':method', stream === 7 ? 'GET' : 'CONNECT'), field(':authority', 'gateway')])),
        frame(reset, 0, stream, Buffer.alloc(4)),
      ]),
    );
    near.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(settings, 0, 0, Buffer.alloc(0)), ...streams]));
    expect((await call('/anthropic/v1/messages', { body: '{}' })).status).toBe(200);
    near.destroy();
  });

  test('a channel that sends frames of control and nothing else is closed', async () => {
    const client = await attach();
    client.on('error', () => {});
    const ping = () => new Promise<void>((resolve, reject) => client.ping((error) => (error === null ? resolve() : reject(error))));
    const flooded = (async () => {
      for (let count = 0; count < 1000; count++) await ping();
    })();
    await expect(flooded).rejects.toThrow();
    expect(lines.join('\n')).toContain('flooded');
  });

  test('the missing upstream is named, in the format of its API', async () => {
    start({});
    const anthropic = await call('/anthropic/v1/messages', { body: '{}' });
    expect(anthropic.status).toBe(424);
    expect(anthropic.headers['x-should-retry']).toBe('false');
    expect(JSON.parse(anthropic.body).error.message).toContain('ANTHROPIC_API_KEY');
    expect(JSON.parse((await call('/openai/v1/responses', { body: '{}' })).body).error.message).toContain(
      'OPENAI_API_KEY',
    );
    const gemini = await call('/gemini/v1beta/models/a:generateContent', { body: '{}' });
    expect(JSON.parse(gemini.body).error).toMatchObject({ code: 424, status: 'FAILED_PRECONDITION' });
  });

  test('targets', () => {
    expect(parseTarget('/openai/v1/models?a=b#c')?.path).toBeUndefined();
    expect(parseTarget('/openai/v1/models?a=b')).toMatchObject({ api: 'openai', path: '/v1/models' });
    expect(parseTarget('*')).toBeNull();
  });
});

describe('streaming', () => {
  test('each piece of an answer arrives when it is sent', async () => {
    let send!: (chunk: string) => void;
    let end!: () => void;
    onUpstream = (request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream', 'set-cookie': 'a=b' });
      response.flushHeaders();
      send = (chunk) => void response.write(chunk);
      end = () => void response.end();
    };
    const response = await begin('/anthropic/v1/messages', { body: '{}' });
    expect(response.headers['content-type']).toBe('text/event-stream');
    expect(response.headers['set-cookie']).toBeUndefined();
    for (const chunk of ['event: a\n\n', 'event: b\n\n']) {
      send(chunk);
      expect(String((await once(response, 'data'))[0])).toBe(chunk);
    }
    end();
    response.resume();
    await once(response, 'end');
  });

  test('large bodies pass both ways, several at once over one channel', async () => {
    const size = 5 * 1024 * 1024;
    onUpstream = (request, response) =>
      void buffer(request).then(
        (body) => response.end(body),
        () => response.destroy(),
      );
    const client = await attach();
    const bodies = Array.from({ length: 4 }, (_, index) => Buffer.alloc(size, index));
    const sizes = await Promise.all(
      bodies.map(async (body) => {
        const response = await begin('/anthropic/v1/messages', { body, stream: dial(client) });
        return (await buffer(response)).equals(body);
      }),
    );
    expect(sizes).toEqual([true, true, true, true]);
  });

  test('a slow reader holds the upstream back', async () => {
    let written = 0;
    let blocked!: () => void;
    const isBlocked = new Promise<void>((resolve) => (blocked = resolve));
    onUpstream = (request, response) => {
      request.resume();
      const chunk = Buffer.alloc(64 * 1024);
      const more = (): void => {
        while (written < 200 * 1024 * 1024) {
          written += chunk.length;
          if (!response.write(chunk)) return blocked();
        }
      };
      // Stops where the socket says so; a proxy without backpressure would drain all of it.
      response.on('drain', more);
      more();
    };
    const response = await begin('/anthropic/v1/messages', { body: '{}' });
    response.pause();
    await isBlocked;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(written).toBeLessThan(40 * 1024 * 1024);
    response.destroy();
  });

  test.each([
    ['by a reset', (stream: ClientHttp2Stream) => stream.close(constants.NGHTTP2_CANCEL)],
    ['by ending its side', (stream: ClientHttp2Stream) => stream.end()],
  ])('a client that goes away %s ends the upstream call', async (_how, leave) => {
    const gone = new Promise<void>((resolve) => {
      onUpstream = (request, response) => {
        request.resume();
        response.on('close', resolve);
        response.write('x');
      };
    });
    const stream = dial(await attach());
    await begin('/anthropic/v1/messages', { body: '{}', stream });
    leave(stream);
    await gone;
  });

  test('closing the channel ends its upstream calls', async () => {
    const gone = new Promise<void>((resolve) => {
      onUpstream = (request, response) => {
        request.resume();
        response.on('close', resolve);
        response.write('x');
      };
    });
    const client = await attach();
    await begin('/anthropic/v1/messages', { body: '{}', stream: dial(client) });
    client.destroy();
    await gone;
  });

  test('an upstream that breaks off breaks the answer off', async () => {
    onUpstream = (request, response) => {
      request.resume();
      response.write('x', () => response.destroy());
    };
    const response = await begin('/anthropic/v1/messages', { body: '{}' });
    await expect(text(response)).rejects.toThrow('aborted');
  });

  test('a connection serves several requests', async () => {
    const stream = dial(await attach());
    for (let index = 0; index < 3; index++) {
      stream.write(
        `GET /anthropic/v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: ${placeholderKey(session, secret)}\r\n\r\n`,
      );
      let answer = '';
      while (!answer.endsWith('}')) answer += String((await once(stream, 'data'))[0]);
      expect(answer).toMatch(/^HTTP\/1.1 200/);
    }
  });
});

describe('limits and failures', () => {
  test('413 for a declared and for an undeclared oversized body', async () => {
    start({ anthropic: { baseUrl: upstreamUrl, apiKey: realKey } }, 1000);
    expect((await call('/anthropic/v1/messages', { body: Buffer.alloc(2000) })).status).toBe(413);
    const chunked = await call('/anthropic/v1/messages', {
      body: Buffer.alloc(2000),
      headers: { 'transfer-encoding': 'chunked' },
    });
    expect(chunked.status).toBe(413);
  });

  test('502 when the upstream is away, without its address', async () => {
    start({ anthropic: { baseUrl: 'http://127.0.0.1:9', apiKey: realKey } });
    const answer = await call('/anthropic/v1/messages', { body: '{}' });
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body).error).toEqual({
      type: 'api_error',
      message: 'Berth: the model upstream cannot be reached (ECONNREFUSED)',
    });
  });

  test('a redirect is not followed', async () => {
    onUpstream = (request, response) => {
      request.resume();
      response.writeHead(307, { location: 'http://127.0.0.1:9/' }).end();
    };
    expect((await call('/anthropic/v1/messages', { body: '{}' })).status).toBe(502);
  });

  test('other upstream answers pass as they are', async () => {
    onUpstream = (request, response) => {
      request.resume();
      response.writeHead(429, { 'retry-after': '3' }).end('{"type":"error"}');
    };
    const answer = await call('/anthropic/v1/messages', { body: '{}' });
    expect(answer).toMatchObject({ status: 429, body: '{"type":"error"}' });
    expect(answer.headers['retry-after']).toBe('3');
  });
});

test('through the real runner, from a port in the sandbox', async () => {
  const runner = await startRunner();
  try {
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address() as AddressInfo;
    await new Promise((resolve) => free.close(resolve));
    const attachment = gateway.attach(session, await runner.client.openGatewayChannel(port, AbortSignal.timeout(5000)));
    const body = 'x'.repeat(3_000_000);
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        fetch(`http://127.0.0.1:${port}/anthropic/v1/messages`, {
          method: 'POST',
          headers: { 'x-api-key': gateway.placeholderKey(session) },
          body,
        }).then((response) => response.json() as Promise<{ headers: Record<string, string>; body: string }>),
      ),
    );
    for (const answer of answers) expect([answer.headers['x-api-key'], answer.body === body]).toEqual([realKey, true]);
    const outside = await fetch(`http://127.0.0.1:${port}/elsewhere`);
    expect([outside.status, await outside.text()]).toEqual([403, expect.stringContaining('no network')]);
    attachment.close();
    await attachment.closed;
  } finally {
    await runner[Symbol.asyncDispose]();
  }
});

describe('metering', () => {
  const usage = { input_tokens: 12, output_tokens: 30, cache_read_input_tokens: 7, cache_creation_input_tokens: 5 };
  const message = JSON.stringify({ type: 'message', model: 'claude-x', usage });
  const answers = (body: string | Buffer, headers: Record<string, string>, status = 200): void => {
    onUpstream = (request, response) => {
      request.resume();
      response.writeHead(status, headers).end(body);
    };
  };

  test('a packed answer passes byte for byte, and is read', async () => {
    const packed = gzipSync(message);
    answers(packed, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
    const response = await begin('/anthropic/v1/messages', { body: '{"model":"claude-asked"}' });
    expect((await buffer(response)).equals(packed)).toBe(true);
    expect(counted).toEqual([
      {
        api: 'anthropic',
        model: 'claude-x',
        inputTokens: 12,
        outputTokens: 30,
        cacheReadTokens: 7,
        cacheWriteTokens: 5,
        estimated: false,
      },
    ]);
  });

  test('a failure, a list and a count of tokens are not counted', async () => {
    answers(message, { 'content-type': 'application/json' }, 529);
    await call('/anthropic/v1/messages', { body: '{}' });
    answers(message, { 'content-type': 'application/json' });
    await call('/anthropic/v1/messages/count_tokens', { body: '{}' });
    await call('/anthropic/v1/models');
    expect(counted).toEqual([]);
  });

  test('an answer that the upstream breaks off counts as far as it came', async () => {
    onUpstream = (request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const start = { type: 'message_start', message: { model: 'claude-x', usage: { input_tokens: 40, output_tokens: 1 } } };
      const delta = { type: 'content_block_delta', delta: { type: 'text_delta', text: 'x'.repeat(400) } };
      response.write(`data: ${JSON.stringify(start)}\n\ndata: ${JSON.stringify(delta)}\n\n`, () => response.destroy());
    };
    const response = await begin('/anthropic/v1/messages', { body: '{}' });
    await text(response).catch(() => '');
    await expect.poll(() => counted).toMatchObject([{ inputTokens: 40, outputTokens: 100, estimated: true }]);
  });

  test('a client that does not wait for the answer is counted by what it sent', async () => {
    const arrived = new Promise<void>((resolve) => {
      onUpstream = (request) => void text(request).then(() => resolve());
    });
    const stream = dial(await attach());
    const request = httpRequest({
      method: 'POST',
      createConnection: () => stream,
      path: '/openai/v1/responses',
      headers: { authorization: `Bearer ${placeholderKey(session, secret)}` },
    });
    request.on('error', () => {});
    request.end(JSON.stringify({ model: 'gpt-x', input: 'x'.repeat(4000) }));
    await arrived;
    request.destroy();
    stream.close();
    await expect.poll(() => counted).toMatchObject([{ model: 'gpt-x', outputTokens: 0, estimated: true }]);
    expect(counted[0]!.inputTokens).toBeGreaterThan(1000);
  });

  test('the upstream hears nothing of a call that may not begin', async () => {
    let heard = 0;
    onUpstream = (_request, response) => {
      heard += 1;
      response.end();
    };
    onBegin = async () => Promise.reject(new Error('secret of the database'));
    const answer = await call('/anthropic/v1/messages', { body: '{}' });
    expect(answer.status).toBe(503);
    expect(answer.body).not.toContain('secret of');
    onBegin = async () => Promise.reject(new BerthError('unavailable', 'ask again'));
    expect((await call('/anthropic/v1/messages', { body: '{}' })).headers['x-should-retry']).toBe('true');
    expect(heard).toBe(0);
  });
});
