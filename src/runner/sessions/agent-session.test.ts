import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BerthError } from '../../protocol/errors.ts';
import { journalEvent } from '../../protocol/events.ts';
import { AgentSession } from './agent-session.ts';
import { defaultFloodLimits } from './flood-limit.ts';
import { readProcess } from './process-tree.ts';
import { ofType, readUntil, runTurn, saidIn, SessionFixture, waitFor } from './session-fixture.ts';
import { cancelGraceMs } from './turn.ts';

const text = (value: string) => [{ type: 'text' as const, text: value }];

async function codeOf(
  promise: Promise<unknown>,
): Promise<{ code: string; field: string | undefined; context: Record<string, unknown> }> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(BerthError);
  const { code, field, context } = error as BerthError;
  return { code, field, context };
}

test('runs a turn and journals it in order, each event once and as the protocol says', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  const events = await runTurn(session, 'trn_1', 'think hm\nwrite a.txt hello\nplan >one;two\nusage 7\nsay done');
  expect(readFileSync(join(fixture.cwd, 'a.txt'), 'utf8')).toBe('hello');
  expect(events[0]?.type).toBe('turn.started');
  expect(events.at(-1)?.data).toEqual({
    outcome: 'completed',
    stopReason: 'end_turn',
    usage: { inputTokens: 7, outputTokens: 1, totalTokens: 8 },
    error: null,
  });
  expect(events.filter(ofType('agent.update')).map(({ data }) => data.update.sessionUpdate)).toEqual([
    'agent_thought_chunk',
    'tool_call',
    'tool_call_update',
    'plan',
    'usage_update',
    'agent_message_chunk',
  ]);
  const all = await readUntil(session.journal, (event) => event.type === 'turn.ended');
  expect(all.map(({ seq }) => seq)).toEqual(all.map((_, i) => i + 1));
  expect(all.slice(0, 2).map(({ type }) => type)).toEqual(['agent.started', 'agent.config']);
  for (const event of all) journalEvent.parse(event);
});

test('a turn id that the journal has is not run again, after a restart neither', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  await runTurn(session, 'trn_1', 'recall');
  await session.startTurn({ turnId: 'trn_1', prompt: text('recall') });
  expect(session.info().turnId).toBeNull();
  const again = await fixture.open();
  await again.startTurn({ turnId: 'trn_1', prompt: text('recall') });
  await again.ensure(fixture.spec());
  expect(saidIn(await runTurn(again, 'trn_2', 'recall'))).toBe('prompts so far: 2');
});

test('refuses a second turn, and a turn before any agent', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.open();
  expect(await codeOf(session.startTurn({ turnId: 'trn_0', prompt: text('x') }))).toMatchObject({ code: 'conflict' });
  await session.ensure(fixture.spec());
  await session.startTurn({ turnId: 'trn_1', prompt: text('hang') });
  await session.startTurn({ turnId: 'trn_1', prompt: text('hang') });
  expect(await codeOf(session.startTurn({ turnId: 'trn_2', prompt: text('x') }))).toMatchObject({
    code: 'conflict',
    context: { turnId: 'trn_1' },
  });
});

test('ensure is idempotent: one process, one conversation', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.open();
  const [a, b] = await Promise.all([session.ensure(fixture.spec()), session.ensure(fixture.spec())]);
  const c = await session.ensure(fixture.spec());
  expect([b.acpSessionId, c.acpSessionId]).toEqual([a.acpSessionId, a.acpSessionId]);
  expect(c).toMatchObject({ running: true, agent: 'scripted', modeId: 'default', turnId: null });
  const events = await readUntil(session.journal, ({ seq }) => seq === c.lastSeq);
  expect(events.filter(ofType('agent.started'))).toHaveLength(1);
});

test('an agent that cannot start leaves no process and says why', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.open();
  expect(await codeOf(session.ensure(fixture.spec({ argv: ['/no/such/agent'] })))).toMatchObject({
    code: 'agent_failed',
  });
  const failed = session.ensure(fixture.spec({ env: { HOME: fixture.root, SCRIPTED_AGENT_START_FAILS: '1' } }));
  expect(await codeOf(failed)).toMatchObject({
    code: 'agent_failed',
    context: { exitCode: 3, stderrTail: expect.stringContaining('told not to start') },
  });
  expect(session.info().running).toBe(false);
  await session.ensure(fixture.spec());
  expect(session.info().running).toBe(true);
});

test('an agent that never answers is given up', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.open();
  const starting = session.ensure(
    fixture.spec({ argv: [process.execPath, '-e', 'process.stdin.resume()'], initializeTimeoutMs: 12_345 }),
  );
  const failed = codeOf(starting);
  await fixture.clock.release(12_345);
  expect(await failed).toMatchObject({ code: 'agent_failed', context: { method: 'initialize' } });
});

test.each(['crash', 'exit 4'])(
  'an agent that dies in its turn (%s) ends it as failed; the next turn goes on',
  async (how) => {
    await using fixture = new SessionFixture();
    const session = await fixture.start();
    await runTurn(session, 'trn_1', 'recall');
    const events = await runTurn(session, 'trn_2', `stderr out of luck\n${how}`);
    expect(events.at(-1)?.data).toMatchObject({
      outcome: 'failed',
      error: { code: 'agent_failed', message: expect.stringContaining('out of luck') },
    });
    expect(events.some(({ type }) => type === 'agent.exited')).toBe(true);
    expect(session.info().running).toBe(false);
    expect(saidIn(await runTurn(session, 'trn_3', 'recall'))).toBe('prompts so far: 3');
  },
);

test('a tool that runs when its agent is killed is closed in the journal and its process ended', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  await session.startTurn({ turnId: 'trn_1', prompt: text('bash echo pid=$$; exec sleep 1000') });
  const events = await readUntil(session.journal, (event) => JSON.stringify(event.data).includes('"text":"pid='));
  const pid = Number(/pid=(\d+)/.exec(JSON.stringify(events.at(-1)?.data))?.[1]);
  const agentPid = readProcess(pid)?.parentPid ?? 0;
  process.kill(agentPid, 'SIGKILL');
  const ended = await readUntil(session.journal, ofType('turn.ended'));
  expect(ended.filter(ofType('agent.update')).at(-1)?.data.update).toEqual({
    sessionUpdate: 'tool_call_update',
    toolCallId: 'call-1',
    status: 'failed',
  });
  expect(readProcess(pid)).toBeNull();
});

test('survives everything ill-formed and keeps updates of unknown kinds', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  const events = await runTurn(session, 'trn_1', 'malformed\nsay still here');
  expect(saidIn(events)).toBe('still here');
  const logs = events.filter(ofType('agent.log')).map(({ data }) => data.message);
  expect(logs.some((line) => line.includes('this line is not JSON'))).toBe(true);
  expect(logs.some((line) => line.includes('_scripted/unknown'))).toBe(true);
  expect(logs.some((line) => line.includes('ill-formed session/update'))).toBe(true);
  expect(logs.some((line) => line.includes('an answer to no request'))).toBe(true);
  expect(events.filter(ofType('agent.update')).map(({ data }) => data.update)).toContainEqual({
    sessionUpdate: 'from_the_future',
    value: 1,
  });
});

test('answers fs requests inside the session and refuses them outside', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  const said = saidIn(
    await runTurn(
      session,
      'trn_1',
      'fswrite sub/a.txt hi\nfsread sub/a.txt\nfsread /etc/passwd\nfswrite /etc/berth-no x\nfsread none',
    ),
  );
  expect(said).toBe('fswrite: okfsread: hifsread: error -32602fswrite: error -32602fsread: error -32002');
  expect(readFileSync(join(fixture.cwd, 'sub/a.txt'), 'utf8')).toBe('hi');
  expect(existsSync('/etc/berth-no')).toBe(false);
});

test("a fork begins with a copy of its source's conversation, under an id of its own, once", async () => {
  await using fixture = new SessionFixture();
  const source = await fixture.start();
  await runTurn(source, 'trn_1', 'say one');
  const forkOf = source.info().acpSessionId;
  const directory = join(fixture.root, 'fork');
  const fork = await AgentSession.open({ sessionId: 'ses_2', directory, clock: fixture.clock });
  try {
    await fork.ensure(fixture.spec({ acpSessionId: null, forkOf }));
    const { acpSessionId } = fork.info();
    expect(acpSessionId).not.toBe(forkOf);
    expect(saidIn(await runTurn(fork, 'trn_2', 'recall'))).toBe('prompts so far: 2');
    await fork.stop();
    await fork.ensure(fixture.spec({ acpSessionId, forkOf }));
    expect(saidIn(await runTurn(fork, 'trn_3', 'recall'))).toBe('prompts so far: 3');
    const events = await readUntil(fork.journal, (event) => event.type === 'turn.ended' && event.turnId === 'trn_3');
    expect(events.filter(ofType('agent.started')).map(({ data }) => data.resumed)).toEqual(['fork', 'resume']);
    expect(saidIn(await runTurn(source, 'trn_4', 'recall'))).toBe('prompts so far: 2');
  } finally {
    await fork.close();
  }
});

test('a conversation taken up with session/load is not journaled twice', async () => {
  await using fixture = new SessionFixture();
  // `resume` replays nothing; this agent offers only `load`.
  const wrapper = join(fixture.root, 'only-load.mjs');
  writeFileSync(
    wrapper,
    `import { spawn } from 'node:child_process';
     const child = spawn(process.execPath, [process.argv[2]], { stdio: ['inherit', 'pipe', 'inherit'] });
     child.stdout.on('data', (chunk) => process.stdout.write(String(chunk).replace('"resume":{},', '')));
     child.on('exit', (code) => process.exit(code ?? 1));`,
  );
  const spec = fixture.spec();
  const argv = [process.execPath, wrapper, spec.argv[1] as string];
  const session = await fixture.start({ argv });
  await runTurn(session, 'trn_1', 'say one\nwrite a.txt x');
  const before = session.info();
  const again = await fixture.open();
  await again.ensure(fixture.spec({ argv, acpSessionId: before.acpSessionId }));
  expect(saidIn(await runTurn(again, 'trn_2', 'recall'))).toBe('prompts so far: 2');
  const events = await readUntil(again.journal, (event) => event.type === 'turn.ended' && event.turnId === 'trn_2');
  expect(events.filter(ofType('agent.started')).map(({ data }) => data.resumed)).toEqual(['new', 'load']);
  expect(saidIn(events)).toBe('oneprompts so far: 2');
  expect(JSON.stringify(events).match(/"tool_call"/g)).toHaveLength(1);
});

test('a conversation that is gone is told, and a new one begun', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start({ acpSessionId: 'gone' });
  const { lastSeq, acpSessionId } = session.info();
  expect(acpSessionId).not.toBe('gone');
  const events = await readUntil(session.journal, ({ seq }) => seq === lastSeq);
  const warnings = events.filter(ofType('agent.log')).filter(({ data }) => data.level === 'warn');
  expect(warnings.at(-1)?.data.message).toContain('a new one begins');
});

test('sets modes and options, tells of the agent’s own changes, and names what is known', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start({ modeId: 'plan', config: { model: 'scripted-small' } });
  expect(session.info().modeId).toBe('plan');
  await session.setMode('bypass');
  await session.setConfig('model', 'scripted-large');
  expect(await codeOf(session.setMode('turbo'))).toEqual({
    code: 'invalid_request',
    field: 'modeId',
    context: { known: ['default', 'plan', 'bypass'] },
  });
  expect(await codeOf(session.setConfig('colour', 'red'))).toMatchObject({
    code: 'invalid_request',
    field: 'configId',
    context: { known: ['mode', 'model'] },
  });
  expect(await codeOf(session.setConfig('model', 'none'))).toMatchObject({ code: 'invalid_request', field: 'value' });
  await runTurn(session, 'trn_1', 'mode default');
  const configs = (await readUntil(session.journal, ofType('turn.ended'))).filter(ofType('agent.config'));
  expect(configs.map(({ data }) => data.modeId)).toEqual(['plan', 'bypass', 'bypass', 'default']);
  expect(session.info().modeId).toBe('default');
});

test('a wrong mode at the start leaves no agent in another mode', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.open();
  expect(await codeOf(session.ensure(fixture.spec({ modeId: 'turbo' })))).toMatchObject({
    code: 'invalid_request',
    field: 'modeId',
  });
  expect(session.info().running).toBe(false);
});

test('refuses what the agent has not said it can take', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.open();
  const http = { type: 'http' as const, name: 'x', url: 'http://127.0.0.1:1/', headers: [] };
  expect(await codeOf(session.ensure(fixture.spec({ mcpServers: [http] })))).toMatchObject({
    code: 'unsupported',
    field: 'mcpServers.0.type',
  });
});

test('a flood is bounded, told once, and costs no boundary', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start({}, { floodLimits: { ...defaultFloodLimits, bytesPerTurn: 20_000 } });
  const events = await runTurn(session, 'trn_1', 'flood 20000');
  expect(events.at(-1)?.type).toBe('turn.ended');
  expect(JSON.stringify(events).length).toBeLessThan(60_000);
  expect(events.filter(ofType('agent.log')).filter(({ data }) => data.level === 'warn')).toHaveLength(1);
  expect(saidIn(await runTurn(session, 'trn_2', 'say fine'))).toBe('fine');
});

test('a flood within the limits loses nothing and is merged', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  const events = await runTurn(session, 'trn_1', 'flood 20000');
  expect(saidIn(events)).toBe(Array.from({ length: 20_000 }, (_, i) => `flood ${i + 1}\n`).join(''));
  expect(events.length).toBeLessThan(2000);
});

test('cancel ends a willing agent’s turn, and its commands; for another turn it does nothing', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  session.cancelTurn(null);
  await session.startTurn({ turnId: 'trn_1', prompt: text('spawn exec sleep 1000\nhang') });
  const said = saidIn(await readUntil(session.journal, (event) => JSON.stringify(event.data).includes('spawned')));
  const pid = Number(/spawned: (\d+)/.exec(said)?.[1]);
  session.cancelTurn('trn_other');
  expect(session.info().turnId).toBe('trn_1');
  session.cancelTurn('trn_1');
  session.cancelTurn('trn_1');
  expect((await waitFor(session.journal, 'turn.ended', 'trn_1')).data).toMatchObject({
    outcome: 'cancelled',
    stopReason: 'cancelled',
    error: null,
  });
  expect(readProcess(pid)).toBeNull();
  expect(session.info().running).toBe(true);
});

test('a process that was there before the turn survives its cancellation', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  const said = saidIn(await runTurn(session, 'trn_1', 'spawn exec sleep 1000'));
  const pid = Number(/spawned: (\d+)/.exec(said)?.[1]);
  try {
    await session.startTurn({ turnId: 'trn_2', prompt: text('hang') });
    session.cancelTurn(null);
    await waitFor(session.journal, 'turn.ended', 'trn_2');
    expect(readProcess(pid)).not.toBeNull();
  } finally {
    process.kill(pid, 'SIGKILL');
  }
});

test('a stubborn agent is killed with its commands, and the next turn takes the conversation up', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  await session.startTurn({ turnId: 'trn_1', prompt: text('spawn exec sleep 1000\ndeaf 100000000') });
  const said = saidIn(await readUntil(session.journal, (event) => JSON.stringify(event.data).includes('spawned')));
  const pid = Number(/spawned: (\d+)/.exec(said)?.[1]);
  session.cancelTurn('trn_1');
  await fixture.clock.release(cancelGraceMs);
  expect((await waitFor(session.journal, 'turn.ended', 'trn_1')).data).toMatchObject({
    outcome: 'cancelled',
    stopReason: null,
  });
  expect(readProcess(pid)).toBeNull();
  expect(session.info().running).toBe(false);
  expect(saidIn(await runTurn(session, 'trn_2', 'recall'))).toBe('prompts so far: 2');
});

test('cancel while the agent starts again ends the turn without a prompt', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  await runTurn(session, 'trn_1', 'crash');
  await session.startTurn({ turnId: 'trn_2', prompt: text('recall') });
  session.cancelTurn('trn_2');
  expect((await waitFor(session.journal, 'turn.ended', 'trn_2')).data).toMatchObject({ outcome: 'cancelled' });
  expect(saidIn(await runTurn(session, 'trn_3', 'recall'))).toBe('prompts so far: 2');
});

test('an error of the agent fails the turn and leaves the agent', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  const events = await runTurn(session, 'trn_1', 'error no more tokens');
  expect(events.at(-1)?.data).toMatchObject({
    outcome: 'failed',
    error: { code: 'agent_failed', message: expect.stringContaining('no more tokens') },
  });
  expect(session.info().running).toBe(true);
});

test('stop ends turn and agent and keeps the journal', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  await session.startTurn({ turnId: 'trn_1', prompt: text('ask me') });
  await waitFor(session.journal, 'permission.requested');
  await session.stop();
  const events = await readUntil(session.journal, ofType('turn.ended'));
  expect(events.at(-1)?.data).toMatchObject({ outcome: 'cancelled' });
  expect(events.filter(ofType('permission.resolved')).map(({ data }) => data.outcome)).toEqual(['cancelled']);
  expect(session.info()).toMatchObject({ running: false, turnId: null, openPermissions: [] });
  await session.stop();
});

test('a turn that a killed runner left open is closed at the next opening', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start();
  const { journalId } = session.info();
  await session.close();
  const at = '2026-01-01T00:00:00.000Z';
  const { lastSeq } = session.info();
  const left = [
    { type: 'turn.started', data: {} },
    {
      type: 'agent.update',
      data: { update: { sessionUpdate: 'tool_call', toolCallId: 'c1', title: 'x', status: 'pending' } },
    },
    { type: 'agent.update', data: { update: { sessionUpdate: 'tool_call', toolCallId: 'c2', title: 'y' } } },
    {
      type: 'agent.update',
      data: { update: { sessionUpdate: 'tool_call_update', toolCallId: 'c2', status: 'completed' } },
    },
    {
      type: 'permission.requested',
      data: { requestId: 'prm_1', toolCall: { toolCallId: 'c1' }, options: [], expiresAt: at },
    },
  ].map(({ type, data }, i) => JSON.stringify({ seq: lastSeq + 1 + i, at, turnId: 'trn_9', type, data }));
  writeFileSync(join(fixture.directory, 'journal.jsonl'), `${left.join('\n')}\n{"seq":`, { flag: 'a' });
  const again = await fixture.open();
  const events = (await readUntil(again.journal, ofType('turn.ended'))).slice(-4);
  expect(events.map(({ type }) => type)).toEqual(['agent.log', 'permission.resolved', 'agent.update', 'turn.ended']);
  expect(events[2]?.data).toEqual({
    update: { sessionUpdate: 'tool_call_update', toolCallId: 'c1', status: 'failed' },
  });
  expect(events[3]).toMatchObject({ turnId: 'trn_9', data: { outcome: 'failed', error: { code: 'sandbox_lost' } } });
  expect(again.info()).toMatchObject({ journalId, turnId: null, running: false });
  expect(await codeOf(again.answerPermission('prm_1', { optionId: null, by: 'x' }))).toMatchObject({
    code: 'conflict',
  });
});
