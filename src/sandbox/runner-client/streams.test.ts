import { once } from 'node:events';
import { performServerHandshake, type ServerHttp2Stream } from 'node:http2';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRunner, testToken, type TestRunner } from '../../../test/fixtures/start-runner.ts';

let runner: TestRunner;
beforeAll(async () => {
  runner = await startRunner();
});
afterAll(() => runner[Symbol.asyncDispose]());

const never = new AbortController().signal;
const refusedToken = { code: 'upstream_failed', message: "the runner refused the sandbox's token" };

async function readText(stream: Duplex): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

async function listen(
  onSocket: (socket: Socket) => void,
  host = '127.0.0.1',
): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, onSocket);
  server.listen(0, host);
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

async function freePort(): Promise<number> {
  const { server, port } = await listen(() => undefined);
  server.close();
  await once(server, 'close');
  return port;
}

/** Answers each line-end terminated stream only after its end: fails unless half-close travels. */
function answerAtEnd(socket: Duplex): void {
  let got = '';
  socket.on('data', (chunk) => (got += String(chunk)));
  socket.on('end', () => socket.end(`got ${got}`));
}

describe('ports', () => {
  it.each(['127.0.0.1', '::1'])('lists and dials a port on %s, each end closing alone', async (host) => {
    const { server, port } = await listen(answerAtEnd, host);
    const ports = await runner.client.listPorts(never);
    expect(ports).toContainEqual({ port, address: host, pid: process.pid });
    const stream = await runner.client.dialPort(port, never);
    stream.end('hello');
    expect(await readText(stream)).toBe('got hello');
    server.close();
  });

  it('carries megabytes both ways', async () => {
    const { server, port } = await listen((socket) => socket.pipe(socket));
    const stream = await runner.client.dialPort(port, never);
    const block = Buffer.alloc(5_000_000, 'abcdefg');
    stream.end(block);
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(block)).toBe(true);
    server.close();
  });

  it('says when nobody listens', async () => {
    await expect(runner.client.dialPort(await freePort(), never)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(runner.client.dialPort(0, never)).rejects.toMatchObject({ code: 'invalid_request', field: 'port' });
  });
});

describe('gateway', () => {
  /** The server's end of a channel. */
  async function openChannel(port: number, onStream: (stream: ServerHttp2Stream) => void) {
    const transport = await runner.client.openGatewayChannel(port, never);
    const session = performServerHandshake(transport, { enableConnectProtocol: true } as never);
    session.on('error', () => undefined);
    session.on('stream', (stream: ServerHttp2Stream, headers: Record<string, unknown>) => {
      expect(headers).toMatchObject({ ':method': 'CONNECT', ':authority': 'gateway' });
      stream.on('error', () => undefined);
      onStream(stream);
    });
    return { session, transport };
  }
  const accept = (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200 });
    answerAtEnd(stream);
  };

  it('turns each local connection into one CONNECT stream', async () => {
    const port = await freePort();
    const { transport } = await openChannel(port, accept);
    const texts = await Promise.all(
      ['a', 'b', 'c'].map((text) => {
        const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
        socket.end(text);
        return readText(socket);
      }),
    );
    expect(texts).toEqual(['got a', 'got b', 'got c']);
    expect((await runner.client.health(never)).gatewayConnected).toBe(true);
    transport.destroy();
  });

  it('lets connections wait for the next channel, also those that the old one had not answered', async () => {
    const port = await freePort();
    const opened = Promise.withResolvers<void>();
    const first = await openChannel(port, () => opened.resolve());
    const unanswered = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    unanswered.end('one');
    await opened.promise;
    first.transport.destroy();
    while ((await runner.client.health(never)).gatewayConnected);
    const late = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    late.end('two');
    await once(late, 'connect');
    const second = await openChannel(port, accept);
    expect(await Promise.all([readText(unanswered), readText(late)])).toEqual(['got one', 'got two']);
    second.transport.destroy();
  });

  it('gives new connections to the newest channel and lets the old one finish', async () => {
    const port = await freePort();
    const streams: ServerHttp2Stream[] = [];
    const { promise: began, resolve: begin } = Promise.withResolvers<void>();
    await openChannel(port, (stream) => {
      stream.respond({ ':status': 200 });
      streams.push(stream);
      begin();
    });
    const old = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await began;
    const second = await openChannel(port, accept);
    const fresh = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    fresh.end('fresh');
    expect(await readText(fresh)).toBe('got fresh');
    old.end();
    answerAtEnd(streams[0]!);
    expect(await readText(old)).toBe('got ');
    second.transport.destroy();
  });

  it('resets a connection that the far side refuses or breaks', async () => {
    const port = await freePort();
    let count = 0;
    const { transport } = await openChannel(port, (stream) => {
      if (count++ === 0) {
        stream.respond({ ':status': 403 }, { endStream: true });
      } else {
        stream.respond({ ':status': 200 });
        stream.write('part');
        stream.once('data', () => transport.destroy());
      }
    });
    const refused = connect({ port, host: '127.0.0.1' });
    await expect(once(refused, 'end')).rejects.toMatchObject({ code: 'ECONNRESET' });
    const broken = connect({ port, host: '127.0.0.1' });
    broken.write('x');
    await expect(readText(broken)).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it('refuses a port that is taken', async () => {
    const { server, port } = await listen(() => undefined);
    await expect(runner.client.openGatewayChannel(port, never)).rejects.toMatchObject({
      code: 'conflict',
      field: 'port',
    });
    server.close();
  });
});

describe('requests', () => {
  async function raw(request: string): Promise<string> {
    const socket = await runner.dial();
    socket.write(request);
    let text = '';
    for await (const chunk of socket) {
      text += String(chunk);
      if (/\r\n\r\n[^]*\}$/.test(text)) break;
    }
    return text;
  }
  const auth = `authorization: Bearer ${testToken}\r\n`;

  it('needs the token for everything but health', async () => {
    const wrong = runner.connect('wrong');
    expect((await wrong.health(never)).pid).toBe(runner.pid);
    await expect(wrong.exec({ argv: ['true'] }, never)).rejects.toMatchObject(refusedToken);
    await expect(wrong.dialPort(1, never)).rejects.toMatchObject(refusedToken);
    await expect(runner.connect(`${testToken}x`).listPorts(never)).rejects.toMatchObject(refusedToken);
    wrong.close();
  });

  it.each([
    ['unknown route', 'GET /nope HTTP/1.1\r\n', '', 404, 'not_found'],
    ['unknown upgrade', 'GET /nope HTTP/1.1\r\nconnection: upgrade\r\nupgrade: tcp\r\n', '', 404, 'not_found'],
    [
      'wrong upgrade',
      'GET /ports/1 HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n',
      '',
      400,
      'invalid_request',
    ],
    ['wrong method', 'DELETE /exec HTTP/1.1\r\n', '', 405, 'method_not_allowed'],
    ['bad JSON', 'POST /exec HTTP/1.1\r\ncontent-length: 3\r\n', '{x}', 400, 'invalid_request'],
    ['no object', 'POST /exec HTTP/1.1\r\ncontent-length: 2\r\n', '[]', 400, 'invalid_request'],
    ['bad query', 'GET /files/content?path=/x&offset=-1 HTTP/1.1\r\n', '', 400, 'invalid_request'],
    ['bad escape', 'GET /processes/%ff HTTP/1.1\r\n', '', 400, 'invalid_request'],
  ])('answers %s', async (_name, head, body, status, code) => {
    const answer = await raw(`${head}host: x\r\n${auth}\r\n${body}`);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toContain(`"code":"${code}"`);
  });

  it('refuses an oversized body and still answers', async () => {
    const stdin = 'A'.repeat(40 * 1024 * 1024);
    await expect(runner.client.exec({ argv: ['true'], stdin }, never)).rejects.toMatchObject({
      code: 'payload_too_large',
    });
  });

  it('survives garbage', async () => {
    const socket = await runner.dial();
    socket.end('\0\0\0 not http\r\n\r\n');
    await readText(socket);
    expect((await runner.client.health(never)).pid).toBe(runner.pid);
  });
});

it('keeps the token out of its environment and its file', async () => {
  const { readFileSync } = await import('node:fs');
  expect(readFileSync(`/proc/${runner.pid}/environ`, 'utf8')).not.toContain(testToken);
  const file = readFileSync(`/proc/${runner.pid}/environ`, 'utf8').match(/BERTH_RUNNER_TOKEN_FILE=([^\0]+)/)![1]!;
  expect(() => readFileSync(file)).toThrow('ENOENT');
});
