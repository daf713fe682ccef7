import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { frameType } from '../../src/protocol/frames.ts';
import type { BerthClient } from '../../src/sdk/index.ts';
import { createModelServer } from '../fixtures/model-server/index.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, answerPermissions, runTurn, scriptedSession, textOf } from './scripted.ts';

/** Rounds of hibernate and wake with everything alive; `BERTH_TEST_ROUNDS=100` for the long run. */
const rounds = Number(process.env['BERTH_TEST_ROUNDS'] ?? 5);

let model: Awaited<ReturnType<typeof createModelServer>>;
let installation: TestInstallation;
let server: TestServer;
let client: BerthClient;

beforeAll(async () => {
  model = await createModelServer({
    key: 'sk-model',
    script: { rules: [{ when: { prompt: /how many/i }, steps: [{ text: 'This is turn {{turn}}.' }] }] },
  });
  installation = await createInstallation({ BERTH_SLOTS: '2', ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: 'sk-model' });
  server = await installation.start();
  client = server.client;
});

afterAll(async () => {
  await installation.remove();
  await model.close();
});

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function output(id: string, script: string): Promise<string> {
  const result = await client.sessions.exec(id, { argv: ['sh', '-c', script] });
  return decode(result.stdout).trim();
}

/** A loop that counts, a listening server and a terminal: what a developer leaves behind in the evening. */
async function leaveThingsRunning(id: string): Promise<{ terminalId: string }> {
  await client.sessions.processes.start(id, { argv: ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i > ~/count; sleep 0.02; done'] });
  await client.sessions.processes.start(id, {
    argv: ['/berth/runner/bin/node', '-e', "require('node:http').createServer((q, s) => s.end('served')).listen(3000, '127.0.0.1')"],
  });
  const terminal = await client.sessions.processes.start(id, { argv: ['bash', '--norc'], pty: { cols: 80, rows: 24 } });
  await typeInto(id, terminal.id, 'KEPT=yes; cd /tmp; echo rea""dy\n', 'ready');
  await output(id, 'until /berth/runner/bin/node -e "fetch(\'http://127.0.0.1:3000\')" 2>/dev/null; do sleep 0.05; done');
  return { terminalId: terminal.id };
}

async function typeInto(id: string, processId: string, text: string, until: string): Promise<string> {
  const terminal = await client.sessions.processes.attach(id, processId);
  await terminal.write(text);
  let shown = '';
  for await (const frame of terminal.output) {
    if (frame.type === frameType.stdout) shown += decode(frame.payload);
    if (shown.includes(until)) break;
  }
  terminal.close();
  return shown;
}

async function checkThingsRunning(id: string, terminalId: string, round: number): Promise<void> {
  const [before, after] = (await output(id, 'cat ~/count; sleep 0.2; cat ~/count')).split('\n').map(Number);
  expect(after).toBeGreaterThan(before!);
  expect(await output(id, '/berth/runner/bin/node -e "fetch(\'http://127.0.0.1:3000\').then(r => r.text()).then(console.log)"')).toBe('served');
  expect(await typeInto(id, terminalId, `echo "round-${round}-$KEPT-$PWD"\n`, `round-${round}-yes-/tmp`)).toContain(`round-${round}-yes-/tmp`);
}

describe('hibernate and wake', () => {
  test(`${rounds} rounds with real Claude Code, a counter, a terminal and a server: all go on`, async () => {
    const { id } = await client.sessions.create({ agent: 'claude' });
    expect((await runTurn(client, id, 'How many turns is that?')).text).toContain('This is turn 1.');
    const { terminalId } = await leaveThingsRunning(id);
    for (let round = 1; round <= rounds; round += 1) {
      const counted = Number(await output(id, 'cat ~/count'));
      expect((await client.sessions.rest(id, 'hibernate')).status).toBe('hibernated');
      await checkThingsRunning(id, terminalId, round);
      expect(Number(await output(id, 'cat ~/count'))).toBeGreaterThan(counted);
      expect((await client.sessions.get(id)).status).toBe('idle');
    }
    const after = await runTurn(client, id, 'And how many turns now?');
    expect(after.text).toContain('This is turn 2.');
    // The same process all along: it was never started again.
    const started = (await allEvents(client, id)).filter((event) => event.type === 'agent.started');
    expect(started).toHaveLength(1);
    await client.sessions.delete(id);
  });

  test('pause keeps memory and comes back on any access', async () => {
    const { id } = await scriptedSession(client);
    await runTurn(client, id, 'say one');
    const { terminalId } = await leaveThingsRunning(id);
    expect((await client.sessions.rest(id, 'pause')).status).toBe('paused');
    await checkThingsRunning(id, terminalId, 1);
    expect((await runTurn(client, id, 'recall')).text).toContain('2');
    await client.sessions.delete(id);
  });

  test('a question outlives the sleep of its sandbox and a kill of the server', async () => {
    const { id } = await scriptedSession(client);
    const { turnId } = await client.sessions.prompt(id, 'ask Push it?\nsay done');
    for await (const event of client.sessions.events(id)) if (event.type === 'permission.requested') break;
    // Both slots are needed by others: the one that only asks gives its up.
    const others = [await scriptedSession(client), await scriptedSession(client)];
    for (const other of others) await runTurn(client, other.id, 'say hi');
    expect((await client.sessions.get(id)).status).toBe('asking');
    await server.kill();
    server = await installation.start();
    client = server.client;
    const stop = new AbortController();
    const answering = answerPermissions(client, id, 'allow_once', stop.signal);
    expect(await client.sessions.waitForTurn(id, turnId)).toMatchObject({ state: 'completed', error: null });
    stop.abort();
    expect(await answering).toBe(1);
    const events = await allEvents(client, id);
    expect(events.filter((event) => event.type === 'permission.requested')).toHaveLength(1);
    expect(events.filter((event) => event.type === 'agent.started')).toHaveLength(1);
    expect(textOf(events)).toContain('done');
    for (const each of [id, ...others.map((other) => other.id)]) await client.sessions.delete(each);
  });

  test('a hibernated session is still that after kill -9 of the server, and its processes wake', async () => {
    const { id } = await scriptedSession(client);
    await runTurn(client, id, 'say one');
    const { terminalId } = await leaveThingsRunning(id);
    await client.sessions.rest(id, 'hibernate');
    await server.kill();
    server = await installation.start();
    client = server.client;
    expect((await client.sessions.get(id)).status).toBe('hibernated');
    await checkThingsRunning(id, terminalId, 1);
    await client.sessions.delete(id);
  });
});

describe('fork', () => {
  test('own disk, own branch, the conversation so far; the source goes on', async () => {
    const source = await scriptedSession(client);
    await runTurn(client, source.id, 'write shared.txt before the fork\\n\nsay one');
    const [fork] = await client.sessions.fork(source.id, { count: 1 });
    expect(fork).toMatchObject({ forkedFrom: source.id, status: 'idle' });
    const [inFork, inSource] = [
      await runTurn(client, fork!.id, 'bash cat shared.txt && echo fork > own.txt\nrecall'),
      await runTurn(client, source.id, 'bash ls\nrecall'),
    ];
    expect(inFork.turn.state).toBe('completed');
    expect(inFork.text).toContain('2');
    expect(inSource.text).toContain('2');
    expect(await output(source.id, 'ls own.txt 2>&1 || true')).toContain('No such file');
    expect(await output(fork!.id, 'cat shared.txt own.txt')).toBe('before the fork\nfork');
    for (const { id } of [source, fork!]) await client.sessions.delete(id);
  });
});
