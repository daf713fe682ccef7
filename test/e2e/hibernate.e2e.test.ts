import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { frameType } from '../../src/protocol/frames.ts';
import type { BerthClient } from '../../src/sdk/index.ts';
import { createModelServer } from '../fixtures/model-server/index.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, answerPermissions, runTurn, scriptedSession, textOf } from './scripted.ts';

/** Rounds of hibernate and wake with everything alive; `BERTH_TEST_ROUNDS=100` for the long run. */
const rounds = Number(process.env['BERTH_TEST_ROUNDS'] ?? 3);
const guestNode = '/berth/runner/bin/node';

let model: Awaited<ReturnType<typeof createModelServer>>;
let installation: TestInstallation;
let server: TestServer;
let client: BerthClient;
let repository: string;

beforeAll(async () => {
  model = await createModelServer({
    key: 'sk-model',
    script: { rules: [{ when: { prompt: /how many/i }, steps: [{ text: 'This is turn {{turn}}.' }] }] },
  });
  repository = makeRepository();
  installation = await createInstallation({
    BERTH_SLOTS: '2',
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: 'sk-model',
  });
  server = await installation.start();
  client = server.client;
});

afterAll(async () => {
  await installation.remove();
  await model.close();
  rmSync(repository, { recursive: true, force: true });
});

function makeRepository(): string {
  const dir = mkdtempSync(join(tmpdir(), 'berth-repository-'));
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.email=a@b.c', '-c', 'user.name=A', ...args], { cwd: dir });
  git('init', '-q', '-b', 'main');
  writeFileSync(join(dir, 'README.md'), 'hello\n');
  git('add', '-A');
  git('commit', '-qm', 'first');
  return dir;
}

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function output(id: string, script: string): Promise<string> {
  return decode((await client.sessions.exec(id, { argv: ['sh', '-c', script] })).stdout).trim();
}

/** The server inside, asked from outside by its port's address. */
async function served(id: string): Promise<string> {
  const response = await fetch(client.sessions.portUrl(id, 3000), {
    headers: { authorization: `Bearer ${server.token}` },
  });
  return `${response.status} ${await response.text()}`;
}

/** A loop that counts, a listening server and a terminal: what a developer leaves behind in the evening. */
async function leaveThingsRunning(id: string): Promise<{ terminalId: string }> {
  const loop = 'i=0; while :; do i=$((i+1)); echo $i > ~/count; sleep 0.02; done';
  await client.sessions.processes.start(id, { argv: ['sh', '-c', loop] });
  const listener =
    "require('node:http').createServer((q, s) => s.end('served')).listen(3000, '127.0.0.1', () => console.log('up'))";
  const listening = await client.sessions.processes.start(id, { argv: [guestNode, '-e', listener] });
  await shown(id, listening.id, '', 'up');
  const terminal = await client.sessions.processes.start(id, { argv: ['bash', '--norc'], pty: { cols: 80, rows: 24 } });
  await shown(id, terminal.id, 'KEPT=yes; cd /tmp; echo rea""dy\n', 'ready');
  return { terminalId: terminal.id };
}

/** Types into a process and reads until it has said `until`. */
async function shown(id: string, processId: string, text: string, until: string): Promise<string> {
  const attached = await client.sessions.processes.attach(id, processId);
  if (text !== '') await attached.write(text);
  let said = '';
  for await (const frame of attached.output) {
    if (frame.type === frameType.stdout) said += decode(frame.payload);
    if (said.includes(until)) break;
  }
  attached.close();
  return said;
}

async function checkThingsRunning(id: string, terminalId: string, round: string): Promise<void> {
  // The request itself is what wakes it.
  expect(await served(id)).toBe('200 served');
  const [before, after] = (await output(id, 'cat ~/count; sleep 0.1; cat ~/count')).split('\n').map(Number);
  expect(after).toBeGreaterThan(before!);
  const said = `round-${round}-yes-/tmp`;
  expect(await shown(id, terminalId, `echo "round-${round}-$KEPT-$PWD"\n`, said)).toContain(said);
}

const sandboxStatuses = async (id: string) =>
  (await allEvents(client, id)).flatMap((event) => (event.type === 'sandbox.status' ? [event.data.status] : []));

const agentsStarted = async (id: string) =>
  (await allEvents(client, id)).flatMap((event) => (event.type === 'agent.started' ? [event.data] : []));

describe('real Claude Code', () => {
  const timeout = 120_000 + rounds * 10_000;
  test(`${rounds} rounds of hibernate and wake with a counter, a terminal and a server; then a fork of it`, { timeout }, async () => {
    const { id, branch } = await client.sessions.create({ agent: 'claude', repository: `file://${repository}` });
    expect((await runTurn(client, id, 'How many turns is that?')).text).toContain('This is turn 1.');
    const { terminalId } = await leaveThingsRunning(id);
    for (let round = 1; round <= rounds; round += 1) {
      const counted = Number(await output(id, 'cat ~/count'));
      expect((await client.sessions.rest(id, 'hibernate')).status).toBe('hibernated');
      await checkThingsRunning(id, terminalId, String(round));
      expect(Number(await output(id, 'cat ~/count'))).toBeGreaterThan(counted);
    }
    const after = await runTurn(client, id, 'And how many turns now?');
    expect(after.text).toContain('This is turn 2.');
    // The same process all along: it was never started again.
    const [agent, ...again] = await agentsStarted(id);
    expect(again).toEqual([]);

    await output(id, 'echo mine > shared.txt');
    await client.snapshots.create(id, { name: 'evening' });
    await output(id, 'echo later > later.txt');
    const [fork] = await client.snapshots.fork('evening');
    expect(fork).toMatchObject({ forkedFrom: id, branch: `berth/${fork!.id}` });
    expect(await output(fork!.id, 'git branch --show-current; cat shared.txt; ls later.txt 2>/dev/null')).toBe(
      `berth/${fork!.id}\nmine`,
    );
    const forked = await runTurn(client, fork!.id, 'How many turns in all?');
    expect(forked.text).toContain('This is turn 3.');
    const [forkAgent] = await agentsStarted(fork!.id);
    expect(forkAgent!.resumed).toBe('fork');
    expect(forkAgent!.acpSessionId).not.toBe(agent!.acpSessionId);
    // The source knows nothing of it, and goes on where it was.
    expect(await output(id, 'git branch --show-current; cat later.txt')).toBe(`${branch}\nlater`);
    await client.snapshots.delete('evening');
    for (const each of [id, fork!.id]) await client.sessions.delete(each);
  });
});

test('a question and everything else outlive the sleep of their sandbox and a kill of the server', async () => {
  const { id } = await scriptedSession(client);
  const { terminalId } = await leaveThingsRunning(id);
  const { turnId } = await client.sessions.prompt(id, 'ask Push it?\nsay done');
  for await (const event of client.sessions.events(id)) if (event.type === 'permission.requested') break;
  expect((await client.sessions.rest(id, 'hibernate')).status).toBe('asking');
  await server.kill();
  server = await installation.start();
  client = server.client;
  expect((await client.sessions.get(id)).status).toBe('asking');
  expect((await sandboxStatuses(id)).at(-1)).toBe('hibernated');
  const stop = new AbortController();
  const answering = answerPermissions(client, id, 'allow_once', stop.signal);
  expect(await client.sessions.waitForTurn(id, turnId)).toMatchObject({ state: 'completed', error: null });
  stop.abort();
  expect(await answering).toBe(1);
  const events = await allEvents(client, id);
  expect(events.filter((event) => event.type === 'permission.requested')).toHaveLength(1);
  expect(events.filter((event) => event.type === 'agent.started')).toHaveLength(1);
  expect(textOf(events)).toContain('done');
  await checkThingsRunning(id, terminalId, 'last');
  await client.sessions.delete(id);
});
