import { Hono } from 'hono';
import { afterEach, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { encodeFrame, FrameDecoder, frameType, type Frame } from '../protocol/frames.ts';
import { createBerthClient, parseExit } from './index.ts';
import { serveApp, type ServedApp } from './serve.fixture.ts';

let served: ServedApp | null = null;
afterEach(async () => {
  await served?.close();
  served = null;
});

const running = {
  id: 'p1',
  pid: 12,
  argv: ['cat'],
  cwd: '/home/user',
  pty: false,
  startedAt: new Date(0).toISOString(),
  exit: null,
};

async function attachable(onSocket: (socket: WebSocket, path: string) => void): Promise<ServedApp> {
  const app = new Hono();
  app.get('/api/sessions/:id/processes', (c) =>
    c.req.header('authorization') === 'Bearer secret' ? c.json({ processes: [running] }) : c.json({}, 401),
  );
  served = await serveApp(app, { onSocket });
  return served;
}

async function collect(output: AsyncIterable<Frame>): Promise<{ text: string; last: Frame | undefined }> {
  let text = '';
  let last: Frame | undefined;
  for await (const frame of output) {
    last = frame;
    if (frame.type === frameType.stdout) text += new TextDecoder().decode(frame.payload);
  }
  return { text, last };
}

test('input reaches the process, its output and exit come back, however the frames are cut', async () => {
  const sizes: unknown[] = [];
  let path = '';
  const { url } = await attachable((socket, requested) => {
    path = requested;
    const decoder = new FrameDecoder();
    socket.on('message', (data: Buffer) => {
      for (const frame of decoder.push(data)) {
        if (frame.type === frameType.resize) sizes.push(JSON.parse(Buffer.from(frame.payload).toString()));
        if (frame.type === frameType.stdin) {
          const echo = encodeFrame(frameType.stdout, frame.payload);
          socket.send(echo.subarray(0, 3));
          socket.send(echo.subarray(3));
        }
        if (frame.type === frameType.stdinEnd) {
          socket.send(encodeFrame(frameType.exit, JSON.stringify({ exitCode: 7, signal: null })));
        }
      }
    });
  });
  const client = createBerthClient({ baseUrl: url, token: 'secret' });
  const attached = await client.sessions.processes.attach('ses_a', 'p1', { from: 5 });
  attached.resize({ cols: 90, rows: 30 });
  await attached.write('x'.repeat(200_000));
  attached.end();
  const { text, last } = await collect(attached.output);
  expect(text).toBe('x'.repeat(200_000));
  expect(last && parseExit(last)).toEqual({ exitCode: 7, signal: null });
  expect(sizes).toEqual([{ cols: 90, rows: 30 }]);
  expect(path).toBe('/api/sessions/ses_a/processes/p1/attach?from=5');
});

test('a connection lost before the exit is an error, not an exit', async () => {
  const { url } = await attachable((socket) => {
    socket.send(encodeFrame(frameType.stdout, 'half'));
    setTimeout(() => socket.terminate(), 20);
  });
  const client = createBerthClient({ baseUrl: url, token: 'secret' });
  const attached = await client.sessions.processes.attach('ses_a', 'p1');
  await expect(collect(attached.output)).rejects.toMatchObject({ code: 'unavailable' });
});

test('an error frame and a broken stream are errors', async () => {
  const sent = [
    encodeFrame(frameType.error, JSON.stringify({ code: 'sandbox_lost', message: 'gone' })),
    Uint8Array.of(99, 0, 0, 0, 0),
  ];
  const { url } = await attachable((socket) => socket.send(sent.shift() ?? ''));
  const client = createBerthClient({ baseUrl: url, token: 'secret' });
  const first = await client.sessions.processes.attach('ses_a', 'p1');
  await expect(collect(first.output)).rejects.toMatchObject({ code: 'sandbox_lost', message: 'gone' });
  const second = await client.sessions.processes.attach('ses_a', 'p1');
  await expect(collect(second.output)).rejects.toMatchObject({ code: 'upstream_failed' });
});

test('a refused handshake tells the reason: wrong token, no such process', async () => {
  const app = new Hono();
  app.get('/api/sessions/:id/processes', (c) =>
    c.req.header('authorization') === 'Bearer secret' ? c.json({ processes: [running] }) : c.json({}, 401),
  );
  served = await serveApp(app);
  const wrong = createBerthClient({ baseUrl: served.url, token: 'wrong' });
  await expect(wrong.sessions.processes.attach('ses_a', 'p1')).rejects.toMatchObject({ code: 'unauthorized' });
  const client = createBerthClient({ baseUrl: served.url, token: 'secret' });
  await expect(client.sessions.processes.attach('ses_a', 'p9')).rejects.toMatchObject({ code: 'not_found' });
});

test('the signal ends the stream', async () => {
  const { url } = await attachable(() => undefined);
  const controller = new AbortController();
  const client = createBerthClient({ baseUrl: url, token: 'secret' });
  const attached = await client.sessions.processes.attach('ses_a', 'p1', { signal: controller.signal });
  setTimeout(() => controller.abort(), 10);
  await expect(collect(attached.output)).rejects.toMatchObject({ code: 'cancelled' });
});
