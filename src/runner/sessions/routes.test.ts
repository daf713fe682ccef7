import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { JournalEvent } from '../../protocol/events.ts';
import { agentSessionInfo, journalHead } from '../../protocol/runner-api.ts';
import { ofType, saidIn } from './session-fixture.ts';

const scriptedAgent = resolve(import.meta.dirname, '../../../test/fixtures/scripted-agent/agent.mjs');
let root: string;
let runner: ChildProcess;
let base: string;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'berth-routes-'));
  mkdirSync(join(root, 'work'));
  await startRunner();
});
afterEach(async () => {
  await call('DELETE', '/sessions/ses_1').catch(() => undefined);
  await killRunner();
  rmSync(root, { recursive: true, force: true });
});

async function startRunner(): Promise<void> {
  const script = resolve(import.meta.dirname, 'runner-fixture.ts');
  runner = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, join(root, 'state')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [port] = (await once(createInterface({ input: runner.stdout as Readable }), 'line')) as [string];
  base = `http://127.0.0.1:${port}`;
}

async function killRunner(): Promise<void> {
  if (runner.exitCode !== null || runner.signalCode !== null) return;
  const exited = once(runner, 'exit');
  runner.kill('SIGKILL');
  await exited;
}

async function call(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
  const response = await fetch(base + path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  const answer = await response.text();
  return { status: response.status, body: answer === '' ? null : (JSON.parse(answer) as unknown) };
}

const spec = (acpSessionId: string | null = null) => ({
  agent: 'scripted',
  argv: [process.execPath, scriptedAgent],
  env: { HOME: root },
  cwd: join(root, 'work'),
  acpSessionId,
  modeId: null,
  permissionTimeoutMs: 60_000,
  initializeTimeoutMs: 30_000,
});

const prompt = (text: string) => [{ type: 'text', text }];

/** Events with `seq > from`, until `last`. */
async function follow(
  from: number,
  last: (event: JournalEvent) => boolean,
): Promise<{ head: unknown; events: JournalEvent[] }> {
  const request = get(`${base}/sessions/ses_1/journal?from=${from}&follow=true`);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let head: unknown = null;
  const events: JournalEvent[] = [];
  const lines = createInterface({ input: response });
  // We break the connection ourselves below, or the runner is killed.
  lines.on('error', () => undefined);
  for await (const line of lines) {
    if (line === '') continue;
    if (head === null) {
      head = JSON.parse(line);
      continue;
    }
    const event = JSON.parse(line) as JournalEvent;
    events.push(event);
    if (last(event)) break;
  }
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  request.destroy();
  return { head, events };
}

test('the whole way over HTTP: start, prompt, ask, answer, journal, stop', async () => {
  const started = await call('PUT', '/sessions/ses_1', spec());
  expect(started.status).toBe(200);
  const info = agentSessionInfo.parse(started.body);
  expect(info).toMatchObject({ sessionId: 'ses_1', running: true, lastSeq: 2 });
  expect((await call('POST', '/sessions/ses_1/turns', { turnId: 'trn_1', prompt: prompt('ask it') })).status).toBe(202);
  const { head, events } = await follow(0, ofType('permission.requested'));
  expect(journalHead.parse(head).journalId).toBe(info.journalId);
  const { requestId } = events.filter(ofType('permission.requested'))[0]?.data ?? {};
  const path = `/sessions/ses_1/permissions/${requestId}`;
  expect(await call('POST', path, { optionId: 'nope', by: 'x' })).toMatchObject({
    status: 400,
    body: { error: { field: 'optionId' } },
  });
  expect((await call('POST', path, { optionId: 'allow', by: 'x' })).status).toBe(200);
  expect((await call('POST', path, { optionId: 'allow', by: 'x' })).status).toBe(409);
  const rest = await follow(events.length, ofType('turn.ended'));
  expect([...events, ...rest.events].map(({ seq }) => seq)).toEqual(
    Array.from({ length: events.length + rest.events.length }, (_, i) => i + 1),
  );
  expect((await call('POST', '/sessions/ses_1/mode', { modeId: 'plan' })).status).toBe(200);
  expect((await call('POST', '/sessions/ses_1/config', { configId: 'model', value: 'scripted-small' })).status).toBe(
    200,
  );
  expect((await call('POST', '/sessions/ses_1/cancel', {})).status).toBe(202);
  expect((await call('DELETE', '/sessions/ses_1')).status).toBe(204);
  expect((await call('GET', '/sessions/ses_1')).body).toMatchObject({ running: false, turnId: null });
  const plain = await (await fetch(`${base}/sessions/ses_1/journal?from=1`)).text();
  expect(
    plain
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => (JSON.parse(line) as JournalEvent).seq)[0],
  ).toBe(2);
});

test('refuses what is ill-formed, naming the field', async () => {
  expect(await call('GET', '/sessions/ses_none')).toMatchObject({ status: 404 });
  expect(await call('GET', '/sessions/..%2Fx')).toMatchObject({ status: 404 });
  expect(await call('PUT', '/sessions/..%2Fx', spec())).toMatchObject({
    status: 400,
    body: { error: { field: 'id' } },
  });
  expect(await call('PUT', '/sessions/ses_1', { ...spec(), cwd: 'relative' })).toMatchObject({
    status: 400,
    body: { error: { field: 'cwd' } },
  });
  expect((await call('GET', '/sessions/ses_1')).status).toBe(404);
  await call('PUT', '/sessions/ses_1', spec());
  expect(await call('POST', '/sessions/ses_1/turns', { turnId: 'trn_1', prompt: [] })).toMatchObject({
    status: 400,
    body: { error: { field: 'prompt' } },
  });
  expect(await call('GET', '/sessions/ses_1/journal?from=-1')).toMatchObject({
    status: 400,
    body: { error: { field: 'from' } },
  });
});

test('kill -9 of the runner in the middle of a turn loses no event, repeats none, and ends the turn', async () => {
  const first = agentSessionInfo.parse((await call('PUT', '/sessions/ses_1', spec())).body);
  await call('POST', '/sessions/ses_1/turns', {
    turnId: 'trn_1',
    prompt: prompt('say hello\nbash echo started; exec sleep 1000'),
  });
  const before = await follow(0, (event) => JSON.stringify(event.data).includes('started\\n'));
  await killRunner();
  await startRunner();
  const after = await follow(before.events.length, ofType('turn.ended'));
  const all = [...before.events, ...after.events];
  expect(journalHead.parse(after.head).journalId).toBe(first.journalId);
  expect(all.map(({ seq }) => seq)).toEqual(all.map((_, i) => i + 1));
  expect(all.at(-1)).toMatchObject({
    turnId: 'trn_1',
    data: { outcome: 'failed', error: { code: 'sandbox_lost', message: expect.stringContaining('restarted') } },
  });
  expect(all.filter(ofType('agent.update')).at(-1)?.data.update).toMatchObject({
    toolCallId: 'call-1',
    status: 'failed',
  });
  // The same request again, as a server does that never saw the answer.
  await call('PUT', '/sessions/ses_1', spec(first.acpSessionId));
  expect((await call('POST', '/sessions/ses_1/turns', { turnId: 'trn_1', prompt: prompt('say hello') })).status).toBe(
    202,
  );
  await call('POST', '/sessions/ses_1/turns', { turnId: 'trn_2', prompt: prompt('recall') });
  const last = await follow(all.length, (event) => event.type === 'turn.ended' && event.turnId === 'trn_2');
  expect(saidIn(last.events)).toBe('prompts so far: 2');
  expect(last.events.some((event) => event.turnId === 'trn_1')).toBe(false);
});
