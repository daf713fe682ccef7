import { createServer, type RequestListener, type Server } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { BerthError } from '../../protocol/errors.ts';
import type { JournalEntry } from '../../core/ports/runner.ts';
import type { JournalEvent } from '../../protocol/events.ts';
import { toEvent } from './follow-journal.ts';
import { createRunnerClient } from './index.ts';

const never = new AbortController().signal;
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A client of a server that plays a runner gone wrong. */
async function clientOf(listener: RequestListener, options = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'berth-client-'));
  const path = join(directory, 's');
  const server: Server = createServer({ keepAliveTimeout: 0 }, listener).listen(path);
  await once(server, 'listening');
  const dials = { count: 0 };
  const client = createRunnerClient({
    token: 't',
    async dial() {
      dials.count++;
      const socket = connect(path);
      await once(socket, 'connect');
      return socket;
    },
    ...options,
  });
  cleanups.push(() => {
    client.close();
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true });
  });
  return { client, server, dials };
}
const health = JSON.stringify({ version: 'v', pid: 1, uptimeMs: 1, gatewayConnected: false });

describe('transport', () => {
  it('uses a connection again', async () => {
    const { client, dials } = await clientOf((_req, res) => res.end(health));
    for (let i = 0; i < 5; i++) await client.health(never);
    expect(dials.count).toBe(1);
  });

  it('works over a stream that is no socket', async () => {
    const { client } = await clientOf((_req, res) => res.end(health));
    const inner = await clientOf((_req, res) => res.end(health));
    const { port } = await new Promise<{ port: string }>((resolve) =>
      resolve({ port: inner.server.address() as string }),
    );
    const other = createRunnerClient({
      token: 't',
      async dial() {
        const socket = connect(port);
        await once(socket, 'connect');
        return Duplex.from({ readable: socket, writable: socket });
      },
    });
    for (let i = 0; i < 3; i++) expect(await other.health(never)).toEqual(await client.health(never));
    other.close();
  });

  it('repeats an idempotent call once when a kept connection was closed, never another', async () => {
    let calls = 0;
    const { client } = await clientOf((req, res) => {
      if (calls++ % 2 === 0) res.end(health);
      else req.socket.destroy();
    });
    await client.health(never);
    await client.health(never);
    expect(calls).toBe(3);
    await expect(client.exec({ argv: ['true'] }, never)).rejects.toMatchObject({
      code: 'sandbox_lost',
      retryable: true,
    });
    expect(calls).toBe(4);
  });

  it('passes on what dial says, and calls a refused connection a lost sandbox', async () => {
    const failing = (error: Error) => createRunnerClient({ token: 't', dial: () => Promise.reject(error) });
    const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    await expect(failing(refused).health(never)).rejects.toMatchObject({ code: 'sandbox_lost' });
    await expect(failing(refused).dialPort(1, never)).rejects.toMatchObject({ code: 'sandbox_lost' });
    await expect(failing(new BerthError('not_found', 'no sandbox')).health(never)).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  it('honours the signal before, during and while dialling', async () => {
    const { client } = await clientOf(() => undefined);
    await expect(client.health(AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
    await expect(client.health(AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'timeout' });
    await expect(client.dialPort(1, AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'timeout' });
    const hanging = createRunnerClient({ token: 't', dial: () => new Promise(() => undefined) });
    await expect(hanging.health(AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'timeout' });
  });

  it.each([
    ['no JSON', 'hello'],
    ['another shape', '{"version":1}'],
    ['too much', `"${'x'.repeat(17 * 1024 * 1024)}"`],
  ])('refuses an answer of %s', async (_name, body) => {
    const { client } = await clientOf((_req, res) => res.end(body));
    await expect(client.health(never)).rejects.toMatchObject({ code: 'upstream_failed' });
  });

  it('calls a connection lost that switches to a protocol which nobody asked for', async () => {
    const { client } = await clientOf((_req, res) => {
      res.socket!.end('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n');
    });
    await expect(client.health(never)).rejects.toMatchObject({ code: 'sandbox_lost' });
  });

  it('gives up a runner that says nothing, or never comes to an end', async () => {
    const { client } = await clientOf(
      (req, res) => {
        if (req.url === '/health') res.write('{');
      },
      { answerMs: 30 },
    );
    const late = { code: 'timeout', message: 'the runner did not answer within 30 ms' };
    await expect(client.health(never)).rejects.toMatchObject(late);
    await expect(client.listPorts(never)).rejects.toMatchObject(late);
    await expect(client.signalProcess('p', 'SIGINT', never)).rejects.toMatchObject(late);
    await expect(client.readFile('/x', {}, never)).rejects.toMatchObject(late);
    await expect(client.attachProcess('p', 0, never)).rejects.toMatchObject(late);
    await expect(client.exec({ argv: ['x'], timeoutMs: 5 }, never)).rejects.toMatchObject({ code: 'timeout', message: expect.stringContaining('35 ms') });
  });

  it.each([
    ['of the account', 401, { code: 'unauthorized', message: 'sign in' }, 'upstream_failed'],
    ['of money', 402, { code: 'budget_reached', message: 'pay' }, 'upstream_failed'],
    ['of the server', 500, { code: 'internal', message: 'x' }, 'upstream_failed'],
    ['that its status does not bear out', 500, { code: 'rate_limited', message: 'wait' }, 'upstream_failed'],
    ['of the file', 404, { code: 'not_found', message: 'no\u001b[2J such\nfile\u202e', field: 'path\u0007', context: { big: 'x'.repeat(9000) } }, 'not_found'],
  ])('takes no word from a runner %s', async (_name, status, error, code) => {
    const { client } = await clientOf((_req, res) => res.writeHead(status).end(JSON.stringify({ error })));
    const failure = (await client.listPorts(never).catch((cause: unknown) => cause)) as BerthError;
    expect(failure).toMatchObject({ code, context: { status } });
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(`${failure.message}${failure.field ?? ''}`).not.toMatch(/[\u0000-\u001f\u202e]/);
    expect(JSON.stringify(failure.context).length).toBeLessThan(4100);
  });

  it('gives a broken body as a lost sandbox, never as a short file', async () => {
    const { client } = await clientOf((_req, res) => {
      res.writeHead(200, { 'content-length': 100 });
      res.write('part', () => res.destroy());
    });
    const read = async () => {
      for await (const chunk of await client.readFile('/x', {}, never)) void chunk;
    };
    await expect(read()).rejects.toMatchObject({ code: 'sandbox_lost' });
  });
});

describe('journal', () => {
  const head = '{"journalId":"jnl_1","lastSeq":2}\n';
  const started = (seq: number) =>
    `${JSON.stringify({ seq, at: '2026-01-01T00:00:00.000Z', turnId: 't', type: 'turn.started', data: {} })}\n`;
  async function collect(events: AsyncIterable<JournalEntry>): Promise<{ events: JournalEvent[]; error: unknown }> {
    const seen: JournalEvent[] = [];
    try {
      for await (const { event } of events) seen.push(event);
    } catch (error) {
      return { events: seen, error };
    }
    return { events: seen, error: null };
  }

  it('gives events in order and turns unreadable ones into warnings in their place', async () => {
    const { client } = await clientOf((_req, res) => {
      res.write(`${head}\n`);
      res.write(started(5).slice(0, 10));
      res.write(started(5).slice(10));
      res.end(`{"seq":6,"turnId":"t","type":"from.the.future","data":{}}\nnot json\n\n${started(8)}`);
    });
    const stream = await client.followJournal('s/1', 4, never);
    expect(stream).toMatchObject({ journalId: 'jnl_1', lastSeq: 2 });
    const { events, error } = await collect(stream.events);
    expect(events.map(({ seq, type }) => [seq, type])).toEqual([
      [5, 'turn.started'],
      [6, 'agent.log'],
      [7, 'agent.log'],
      [8, 'turn.started'],
    ]);
    expect(error).toMatchObject({ code: 'sandbox_lost' });
  });

  it('counts silence as loss and heartbeats as life', async () => {
    let beats = 0;
    const { client } = await clientOf(
      (_req, res) => {
        res.write(head);
        const timer = setInterval(() => (beats++ < 20 ? res.write('\n') : clearInterval(timer)), 10);
      },
      { heartbeatMs: 50 },
    );
    const { events, error } = await collect((await client.followJournal('s', 0, never)).events);
    expect(events).toEqual([]);
    expect(beats).toBeGreaterThan(15);
    expect(error).toMatchObject({ code: 'sandbox_lost', context: { silenceMs: 150 } });
  });

  it('ends when its reader stops and when the signal fires', async () => {
    const closed = Promise.withResolvers<void>();
    const { client } = await clientOf((_req, res) => {
      res.once('close', closed.resolve);
      res.write(head + started(1));
    });
    for await (const { event } of (await client.followJournal('s', 0, never)).events) {
      expect(event.seq).toBe(1);
      break;
    }
    await closed.promise;
    const abort = new AbortController();
    const { events } = await client.followJournal('s', 0, abort.signal);
    const reading = collect(events);
    abort.abort();
    expect((await reading).error).toMatchObject({ code: 'cancelled' });
  });

  it('refuses an endless line and a wrong head', async () => {
    const wrong = await clientOf((_req, res) => res.end('{"seq":1}\n'));
    await expect(wrong.client.followJournal('s', 0, never)).rejects.toMatchObject({ code: 'upstream_failed' });
    const endless = await clientOf((_req, res) => {
      const block = 'x'.repeat(1024 * 1024);
      const more = () => res.write(block) && setImmediate(more);
      res.on('drain', more);
      more();
    });
    await expect(endless.client.followJournal('s', 0, never)).rejects.toMatchObject({ code: 'upstream_failed' });
  });

  it.each([
    ['a number a second time', [1, 2, 2]],
    ['a number far ahead', [1, 1_000_003]],
    ['a number that leaves none after it', [Number.MAX_SAFE_INTEGER]],
  ])('ends at %s', async (_name, seqs) => {
    const { client } = await clientOf((_req, res) => {
      res.write(`${head}\n${seqs.map(started).join('')}`);
    });
    const { events, error } = await collect((await client.followJournal('s', 0, never)).events);
    expect(events.map(({ seq }) => seq)).toEqual(seqs.slice(0, -1));
    expect(error).toMatchObject({ code: 'upstream_failed' });
  });

  it('ends at a line that is longer than a journal has', async () => {
    const { client } = await clientOf((_req, res) => {
      res.write(`${head}\n${started(1)}"${'x'.repeat(1024 * 1024)}"\n`);
    });
    const { events, error } = await collect((await client.followJournal('s', 0, never)).events);
    expect(events).toHaveLength(1);
    expect(error).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('1048576 bytes') });
  });

  it('lets nothing through that a store could not write', () => {
    const at = '2026-01-01T00:00:00.000Z';
    const entry = (turnId: string | null, type: string, data: unknown) => JSON.stringify({ seq: 1, at, turnId, type, data });
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const tooDeep = `{"seq":1,"at":"${at}","turnId":"t","type":"agent.update","data":{"update":{"sessionUpdate":"x","y":${deep}}}}`;
    const lines = [
      entry('t\0', 'turn.started', {}),
      entry('t', 'agent.started', { agent: 'a', acpSessionId: 'x'.repeat(2000), resumed: 'new' }),
      entry('t', 'permission.resolved', { requestId: 'r\0', outcome: 'selected', optionId: null, by: null }),
      tooDeep,
    ];
    for (const line of lines) {
      const event = toEvent(line, 1);
      expect(event).toMatchObject({ seq: 1, type: 'agent.log', data: { level: 'warn' } });
      expect(event.turnId?.includes('\0') ?? false).toBe(false);
    }
    expect(toEvent(entry('t', 'agent.update', { update: { sessionUpdate: 'x', text: 'a\0b' } }), 1)).toMatchObject({ type: 'agent.update' });
  });

  it('keeps a readable seq of an unreadable entry', () => {
    expect(toEvent('{"seq":9,"type":"x"}', 3)).toMatchObject({
      seq: 9,
      turnId: null,
      type: 'agent.log',
      data: { level: 'warn' },
    });
    expect(toEvent('{"seq":-1}', 3)).toMatchObject({ seq: 3 });
    expect(toEvent('null', 3)).toMatchObject({ seq: 3 });
  });
});
