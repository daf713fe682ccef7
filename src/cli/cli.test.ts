import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BerthError, toErrorBody } from '../protocol/errors.ts';
import { encodeFrame, FrameDecoder, frameType } from '../protocol/frames.ts';
import { serveApp, type ServedApp } from '../sdk/serve.fixture.ts';

/**
 * The real command line in a process of its own, against a server that answers by the route table.
 * The exit codes, the two output streams and the arguments are what is tested here.
 */

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

const launcher = join(import.meta.dirname, '../../bin/berth');
let home = '';
let served: ServedApp | null = null;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'berth-cli-'));
});
afterEach(async () => {
  await served?.close();
  served = null;
  await rm(home, { recursive: true, force: true });
});

async function berth(args: string[], options: { input?: string; env?: Record<string, string> } = {}): Promise<Ran> {
  const child = spawn(launcher, args, {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: home,
      XDG_CONFIG_HOME: home,
      ...(served === null ? {} : { BERTH_URL: served.url, BERTH_TOKEN: 'secret' }),
      ...options.env,
    },
    cwd: home,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

const at = new Date(0).toISOString();
const session = {
  id: 'ses_01',
  owner: 'me',
  team: null,
  title: 'A \u001b[31mred\u001b[0m title',
  status: 'idle',
  statusReason: null,
  agent: 'claude',
  provider: 'oci',
  providerReason: null,
  template: 'default',
  sandboxId: null,
  hostId: null,
  forkedFrom: null,
  repository: null,
  baseBranch: null,
  branch: null,
  cwd: '/home/user/work',
  limits: { cpus: 1, memoryBytes: 1024 ** 3, pids: 100, diskBytes: 1024 ** 3 },
  modeId: null,
  config: {},
  lastSeq: 0,
  idle: null,
  budget: null,
  lastUsedAt: at,
  archivedAt: null,
  createdAt: at,
  updatedAt: at,
};

/** A session whose turn asks one permission and ends as told when that is answered. */
function turnApp(outcome: 'completed' | 'failed' | 'cancelled'): { app: Hono; prompts: unknown[]; answers: unknown[] } {
  const prompts: unknown[] = [];
  const answers: unknown[] = [];
  let answered = (): void => undefined;
  const waiting = new Promise<void>((resolve) => (answered = resolve));
  const app = new Hono();
  app.get('/api/sessions/:id', (c) => c.json(session));
  app.post('/api/session/prompt', async (c) => {
    prompts.push(await c.req.json());
    return c.json(
      {
        sessionId: 'ses_01',
        turnId: 'trn_01',
        status: 'queued',
        queuePosition: 0,
        estimatedWaitSeconds: 0,
        message: 'starting',
        webhookOnReady: null,
      },
      202,
    );
  });
  app.post('/api/sessions/:id/permissions/:request', async (c) => {
    answers.push(await c.req.json());
    answered();
    return c.body(null, 204);
  });
  app.get('/api/sessions/:id/diff', (c) =>
    c.json({
      baseCommit: null,
      truncated: false,
      files: [{ path: 'a.txt', from: null, status: 'added', additions: 1, deletions: 0 }],
      patch: 'diff --git a/a.txt b/a.txt\n--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+hello\u001b[31m\n',
    }),
  );
  app.get('/api/sessions/:id/events', (c) =>
    streamSSE(c, async (stream) => {
      let seq = 0;
      const send = (type: string, data: object): Promise<void> =>
        stream.writeSSE({
          data: JSON.stringify({ sessionId: 'ses_01', seq: ++seq, at, turnId: 'trn_01', type, data }),
        });
      await send('turn.started', {});
      await send('agent.update', {
        update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: 'On it.\u001b[2J' } },
      });
      await send('permission.requested', {
        requestId: 'req_1',
        toolCall: { toolCallId: 't', title: 'Write a.txt' },
        options: [
          { optionId: 'yes', name: 'Allow', kind: 'allow_once' },
          { optionId: 'no', name: 'Reject', kind: 'reject_once' },
        ],
        expiresAt: at,
      });
      await waiting;
      await send('turn.ended', { outcome, stopReason: null, usage: null, error: null });
    }),
  );
  return { app, prompts, answers };
}

test('help is on stdout with 0; each command has its own', async () => {
  const help = await berth(['--help']);
  expect(help.code).toBe(0);
  expect(help.stdout).toContain('Working with agents:');
  expect(Math.max(...help.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  const run = await berth(['run', '--help']);
  expect(run.code).toBe(0);
  expect(run.stdout).toContain('--repo');
  expect(run.stdout).toContain('--json');
});

test.each([
  [['nonsense'], 'unknown command'],
  [['ls', '--nonsense'], 'unknown option'],
  [['show'], "missing required argument 'session'"],
  [['run', '--allow', 'everything', 'x'], 'Allowed choices are once, always, ask'],
  [['run', '--memory', 'lots', 'x'], 'expected a size'],
  [['logs', 'ses_1', '--from', 'x'], 'expected a whole number'],
  [['cp', 'a', 'b'], 'exactly one side must be in a session'],
])('%j is a usage error', async (args, message) => {
  const ran = await berth(args);
  expect(ran.code).toBe(2);
  expect(ran.stderr).toContain(message);
  expect(ran.stdout).toBe('');
});

test('with --json usage errors are an ErrorBody too, and nothing else', async () => {
  const ran = await berth(['ls', '--nonsense', '--json']);
  expect(ran.code).toBe(2);
  expect(JSON.parse(ran.stderr)).toMatchObject({ error: { code: 'invalid_request', retryable: false } });
});

test('failures have their exit codes', async () => {
  expect(await berth(['ls'])).toMatchObject({ code: 5, stderr: expect.stringContaining('berth up') });
  const gone = { BERTH_URL: 'http://127.0.0.1:1', BERTH_TOKEN: 'x' };
  expect((await berth(['ls'], { env: gone })).code).toBe(5);
  expect((await berth(['ls'], { env: { BERTH_URL: 'http://127.0.0.1:1' } })).code).toBe(4);
  expect((await berth(['ls'], { env: { BERTH_URL: 'nowhere', BERTH_TOKEN: 'x' } })).code).toBe(2);

  const app = new Hono();
  app.get('/api/sessions/:id', (c) => c.json(toErrorBody(new BerthError('not_found', 'no session \u001b[2J')), 404));
  app.get('/api/sessions', (c) => c.json(toErrorBody(new BerthError('unauthorized', 'the token is not valid')), 401));
  served = await serveApp(app);
  const missing = await berth(['exec', 'ses_9', '--', 'true']);
  expect(missing).toMatchObject({ code: 3, stdout: '' });
  expect(missing.stderr).toContain('no session');
  expect(missing.stderr).not.toContain('\u001b');
  expect((await berth(['ls'])).code).toBe(4);
});

test('the token that was saved for one server is not sent to another', async () => {
  await berth(['--help']);
  const dir = join(home, 'berth');
  const { writeConfig } = await import('./config-file.ts');
  await writeConfig(join(dir, 'client.json'), { url: 'http://127.0.0.1:1', token: 'saved' });
  expect((await stat(join(dir, 'client.json'))).mode & 0o777).toBe(0o600);
  expect((await berth(['ls'])).code).toBe(5);
  expect((await berth(['ls', '--url', 'http://127.0.0.1:2'])).code).toBe(4);
});

test('run: piped, a permission is refused when nobody can be asked, and that is the exit code', async () => {
  const { app, prompts, answers } = turnApp('completed');
  served = await serveApp(app);
  const ran = await berth(['run', '--agent', 'claude', '--env', 'A=b', '--memory', '512m'], { input: 'Write a file' });
  expect(ran.code).toBe(6);
  expect(prompts).toEqual([
    {
      idempotencyKey: expect.any(String),
      prompt: 'Write a file',
      agent: 'claude',
      env: { A: 'b' },
      limits: { memoryBytes: 512 * 1024 ** 2 },
    },
  ]);
  expect(answers).toEqual([{ optionId: 'no' }]);
  expect(ran.stderr).toContain('--allow once');
  expect(ran.stdout).toContain('On it.');
  expect(ran.stdout).toContain('A a.txt  +1 -0');
  expect(ran.stdout).not.toContain('\u001b');
});

test.each([
  ['completed', 0],
  ['failed', 1],
  ['cancelled', 130],
] as const)('run --allow once: a turn that %s gives %i', async (outcome, code) => {
  const { app, answers } = turnApp(outcome);
  served = await serveApp(app);
  expect((await berth(['run', '--allow', 'once', 'Write', 'a', 'file'])).code).toBe(code);
  expect(answers).toEqual([{ optionId: 'yes' }]);
});

test('run --json is one event per line and nothing else', async () => {
  const { app } = turnApp('completed');
  served = await serveApp(app);
  const ran = await berth(['run', '--json', '--allow', 'once', 'Write']);
  const events = ran.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string });
  expect(events.map(({ type }) => type)).toEqual([
    'turn.started',
    'agent.update',
    'permission.requested',
    'turn.ended',
  ]);
  expect(ran).toMatchObject({ code: 0, stderr: '' });
});

test('run: a directory is for a server on this machine, and must be a repository', async () => {
  served = await serveApp(turnApp('completed').app);
  expect(await berth(['run', '--repo', '.', 'x'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('(repository)'),
  });
  await writeFile(join(home, '.git'), 'gitdir: elsewhere');
  const elsewhere = { BERTH_URL: 'http://berth.example' };
  expect(await berth(['run', '--repo', '.', 'x'], { env: elsewhere })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('cannot see'),
  });
});

test('ls: a table for people, one document for programs, both safe', async () => {
  const app = new Hono();
  app.get('/api/sessions', (c) => c.json({ sessions: [session] }));
  served = await serveApp(app);
  const table = await berth(['ls']);
  expect(table.stdout).toMatch(/^SESSION +STATUS +AGENT +ACTIVE +TITLE\nses_01 +idle +claude +.*A red title\n$/);
  const json = await berth(['ls', '--json']);
  expect(JSON.parse(json.stdout)).toEqual({ sessions: [session] });
});

test('queue: who waits, in order, and how good the estimates were', async () => {
  const overview = {
    slots: 2,
    running: 2,
    queued: [
      { turnId: 'trn_1', sessionId: 'ses_1', owner: 'ada\u001b[31m', priority: 'premium', position: 1, estimatedWaitSeconds: 90, waitedSeconds: 5, retryAt: null, away: null, quota: null },
      { turnId: 'trn_2', sessionId: 'ses_2', owner: 'bob', priority: 'normal', position: 2, estimatedWaitSeconds: 120, waitedSeconds: 61, retryAt: null, away: null, quota: null },
    ],
    estimate: { meanAbsoluteErrorSeconds: 12.5, count: 7 },
  };
  const app = new Hono();
  app.get('/api/queue', (c) => c.json(overview));
  served = await serveApp(app);
  const { code, stdout } = await berth(['queue']);
  expect(code).toBe(0);
  expect(stdout.split('\n').map((line) => line.replaceAll(/ +/g, ' '))).toEqual([
    '2 of 2 slots busy, 2 waiting; estimates were 13 s off, by 7 turns',
    '',
    'PLACE TURN OWNER PRIORITY WAITED STARTS',
    '1 trn_1 ada premium 5 s in 1 min 30 s',
    '2 trn_2 bob normal 1 min 1 s in 2 min',
    '',
  ]);
  expect(JSON.parse((await berth(['queue', '--json'])).stdout)).toEqual(overview);
});

test('dead: lists what waits for a replay, and replays it', async () => {
  const letter = { turnId: 'trn_1', sessionId: 'ses_1', code: 'unavailable', message: 'no\u001b[2J slot', attempts: 4, failedAt: at, replayedAt: null, replayTurnId: null };
  const app = new Hono();
  let waiting: string | undefined;
  app.get('/api/dead-letters', (c) => {
    waiting = c.req.query('waiting');
    return c.json({ deadLetters: [letter] });
  });
  app.post('/api/dead-letters/:id/replay', (c) => {
    if (c.req.param('id') !== 'trn_1') {
      return c.json(toErrorBody(new BerthError('not_found', 'turn trn_9 is no dead letter', { field: 'turnId' })), 404);
    }
    return c.json({ sessionId: 'ses_1', turnId: 'trn_2', status: 'queued', queuePosition: 1, estimatedWaitSeconds: 2, message: 'queued', webhookOnReady: null }, 202);
  });
  served = await serveApp(app);
  const list = await berth(['dead', 'ls']);
  expect(list.stdout).toMatch(/^TURN +FAILED +TRIES +CODE +REPLAYED +WHY\ntrn_1 +.* +4 +unavailable +- +no slot\n$/);
  expect(waiting).toBe('true');
  expect(await berth(['dead', 'replay', 'trn_1'])).toMatchObject({ code: 0, stdout: 'trn_2\n' });
  expect(await berth(['dead', 'replay', 'trn_9'])).toMatchObject({ code: 3, stdout: '' });
  expect((await berth(['dead', 'replay'])).code).toBe(2);
});

test('diff piped is the patch as it is', async () => {
  served = await serveApp(turnApp('completed').app);
  expect((await berth(['diff', 'ses_01'])).stdout).toContain('+hello\u001b[31m\n');
  expect((await berth(['diff', 'ses_01', '--stat'])).stdout).toContain('1 file changed, +1 -0');
});

test('exec: input, both outputs raw, and the exit code of the command', async () => {
  const started: unknown[] = [];
  const app = new Hono();
  app.get('/api/sessions/:id', (c) => c.json(session));
  app.post('/api/sessions/:id/processes', async (c) => {
    started.push(await c.req.json());
    return c.json({ id: 'p1', pid: 1, argv: ['x'], cwd: '/', pty: false, startedAt: at, exit: null }, 201);
  });
  served = await serveApp(app, {
    onSocket(socket) {
      const decoder = new FrameDecoder();
      let input = '';
      // The gate is ready.
      socket.send(encodeFrame(frameType.stdout, '.'));
      socket.on('message', (data: Buffer) => {
        for (const frame of decoder.push(data)) {
          if (frame.type === frameType.stdin) input += Buffer.from(frame.payload).toString();
          if (frame.type !== frameType.stdinEnd) continue;
          // The first line opens the gate and is not the command's.
          input = input.slice(input.indexOf('\n') + 1);
          socket.send(encodeFrame(frameType.stdout, `\u001b[1m${input}`));
          socket.send(encodeFrame(frameType.stderr, 'warning'));
          const exit = input === 'die' ? { exitCode: null, signal: 'SIGKILL' } : { exitCode: 42, signal: null };
          socket.send(encodeFrame(frameType.exit, JSON.stringify(exit)));
        }
      });
    },
  });
  const ran = await berth(['exec', 'ses_01', '--', 'tool', '--json', '-x'], { input: 'abc' });
  expect(ran).toEqual({ code: 42, stdout: '\u001b[1mabc', stderr: 'warning' });
  expect(started).toEqual([
    { argv: expect.arrayContaining(['tool', '--json', '-x']), cwd: '/home/user/work', stdin: true },
  ]);
  expect((await berth(['exec', 'ses_01', '--', 'tool'], { input: 'die' })).code).toBe(137);
});

test('allow and deny answer the open request', async () => {
  const answers: unknown[] = [];
  const app = new Hono();
  const request = (seq: number, requestId: string): object => ({
    sessionId: 'ses_01',
    seq,
    at,
    turnId: 'trn_01',
    type: 'permission.requested',
    data: {
      requestId,
      toolCall: { toolCallId: 't', title: 'Run it' },
      options: [
        { optionId: 'yes', name: 'Allow', kind: 'allow_once' },
        { optionId: 'no', name: 'Reject', kind: 'reject_once' },
      ],
      expiresAt: at,
    },
  });
  const resolved = {
    ...request(2, 'r1'),
    type: 'permission.resolved',
    data: { requestId: 'r1', outcome: 'selected', optionId: 'yes', by: 'me' },
  };
  const log = [request(1, 'r1'), resolved, request(3, 'r2')];
  app.get('/api/sessions/:id/log', (c) => c.json({ events: log.slice(Number(c.req.query('from'))) }));
  app.post('/api/sessions/:id/permissions/:request', async (c) => {
    answers.push([c.req.param('request'), await c.req.json()]);
    return c.body(null, 204);
  });
  served = await serveApp(app);
  expect(await berth(['allow', 'ses_01'])).toMatchObject({ code: 0, stdout: 'Allow: Run it\n' });
  expect(await berth(['deny', 'ses_01', 'r2'])).toMatchObject({ code: 0, stdout: 'refused: Run it\n' });
  expect((await berth(['allow', 'ses_01', 'r1'])).code).toBe(3);
  expect((await berth(['allow', 'ses_01', '--always'])).code).toBe(2);
  expect(answers).toEqual([
    ['r2', { optionId: 'yes' }],
    ['r2', { optionId: 'no' }],
  ]);
});

test('cp out of a sandbox writes nothing outside the target, whatever the sandbox says', async () => {
  const files: Record<string, object[]> = {
    '/w/tree': [
      { name: 'a.sh', type: 'file', mode: 0o4755 },
      { name: 'out', type: 'symlink', mode: 0o777, target: '/etc' },
      { name: 'out', type: 'directory', mode: 0o755 },
      { name: 'dev', type: 'other', mode: 0o666 },
    ],
    '/w/tree/out': [{ name: 'passwd', type: 'file', mode: 0o644 }],
    '/w/evil': [{ name: '../../escaped', type: 'file', mode: 0o644 }],
  };
  const info = (path: string, entry: object): object => ({ path, name: '', sizeBytes: 2, modifiedAt: at, ...entry });
  const app = new Hono();
  app.get('/api/sessions/:id', (c) => c.json({ ...session, cwd: '/w' }));
  app.get('/api/sessions/:id/files/stat', (c) =>
    c.json(info(c.req.query('path') ?? '', { type: 'directory', mode: 0o755 })),
  );
  app.get('/api/sessions/:id/files/content', (c) => c.body('hi'));
  app.get('/api/sessions/:id/files', (c) => {
    const path = c.req.query('path') ?? '';
    return c.json({ files: (files[path] ?? []).map((entry) => info(`${path}/x`, entry)) });
  });
  served = await serveApp(app);
  const ran = await berth(['cp', 'ses_01:tree', 'here']);
  // The link would replace a directory that the sandbox also claims to have: refused.
  expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('is a directory, and a link') });
  expect(await readFile(join(home, 'here/out/passwd'), 'utf8')).toBe('hi');
  expect((await stat(join(home, 'here/a.sh'))).mode & 0o7000).toBe(0);
  expect((await berth(['cp', 'ses_01:evil', 'there'])).code).toBe(1);
  await expect(stat(join(home, '../escaped'))).rejects.toThrow();
});
