import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { frameType } from '../../src/protocol/frames.ts';
import type { BerthClient } from '../../src/sdk/index.ts';
import { parseExit } from '../../src/sdk/attached-process.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, answerPermissions, runTurn, scriptedSession, textOf } from './scripted.ts';

let installation: TestInstallation;
let server: TestServer;
let client: BerthClient;
let repository: string;

function makeRepository(): string {
  const dir = mkdtempSync(join(tmpdir(), 'berth-repo-'));
  const git = (...args: string[]) => execFileSync('git', args, { cwd: dir, stdio: 'pipe' });
  git('init', '-q', '-b', 'main');
  git('config', 'user.email', 'a@b.c');
  git('config', 'user.name', 'A');
  execFileSync('sh', ['-c', 'echo "# Widget" > README.md; mkdir src; echo "export {}" > src/a.ts'], { cwd: dir });
  git('add', '-A');
  git('commit', '-qm', 'first');
  return dir;
}

beforeAll(async () => {
  installation = await createInstallation({ BERTH_SLOTS: '2' });
  server = await installation.start();
  client = server.client;
  repository = makeRepository();
});

afterAll(() => installation.remove());

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe('a session on a repository', () => {
  test('prompt, tools, permission, diff', async () => {
    const session = await scriptedSession(client, { repository: `file://${repository}` });
    expect(session).toMatchObject({ agent: 'scripted', branch: `berth/${session.id}`, baseBranch: 'main' });
    const { turn, events, text } = await runTurn(
      client,
      session.id,
      ['say hello', 'write made.txt made by the agent\\n', 'bash echo ran > ran.txt && cat made.txt', 'ask May I?', 'pwd'].join('\n'),
    );
    expect(turn).toMatchObject({ state: 'completed', stopReason: 'end_turn', error: null });
    expect(text).toContain('hello');
    expect(text).toContain(session.cwd);
    expect(events.map((event) => event.type)).toEqual(
      expect.arrayContaining(['turn.queued', 'turn.started', 'agent.update', 'permission.requested', 'permission.resolved', 'turn.ended']),
    );
    expect(events.find((event) => event.type === 'permission.resolved')?.data).toMatchObject({ outcome: 'selected', optionId: 'allow', by: 'owner' });

    const diff = await client.sessions.diff(session.id);
    expect(diff.files).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ path: 'made.txt', status: 'added', additions: 1 }),
        expect.objectContaining({ path: 'ran.txt', status: 'added' }),
      ]),
    );
    expect(diff.patch).toContain('+made by the agent');

    const all = await allEvents(client, session.id);
    expect(all.map((event) => event.seq)).toEqual(all.map((_, index) => index + 1));
    const usage = await client.sessions.usage(session.id);
    expect(usage.memoryBytes).toBeGreaterThan(0);
    expect(usage.memoryBytes).toBeLessThan(usage.limits.memoryBytes);
    await client.sessions.delete(session.id);
  });

  test('a repository that does not exist, a branch that does not, an unknown agent', async () => {
    await expect(client.sessions.create({ agent: 'shell', repository: 'file:///nowhere/at/all' })).rejects.toMatchObject({
      code: 'repository_not_found',
      field: 'repository',
    });
    await expect(client.sessions.create({ agent: 'shell', repository: `file://${repository}`, branch: 'nope' })).rejects.toMatchObject({
      code: 'branch_not_found',
      field: 'branch',
    });
    await expect(client.sessions.create({ agent: 'no-such' })).rejects.toMatchObject({ code: 'unknown_agent', field: 'agent' });
    expect(await client.sessions.list({})).toEqual([]);
  });
});

describe('the workspace', () => {
  test('exec, files, terminal, ports', async () => {
    const session = await client.sessions.create({ agent: 'shell', env: { GREETING: 'hei' } });
    const { id, cwd } = session;
    const identity = await client.sessions.exec(id, { argv: ['sh', '-c', 'id -un; id -u; pwd; echo $HOME; echo $GREETING; exit 3'] });
    expect(identity.exitCode).toBe(3);
    expect(decode(identity.stdout).trim().split('\n')).toEqual(['user', '1000', cwd, '/home/user', 'hei']);

    const bytes = new Uint8Array(300_000).map((_, index) => index % 251);
    await client.sessions.files.write(id, `${cwd}/deep/data.bin`, bytes, { makeParents: true });
    const back = new Uint8Array(await new Response(await client.sessions.files.read(id, `${cwd}/deep/data.bin`)).arrayBuffer());
    expect(Buffer.compare(back, bytes)).toBe(0);
    await expect(client.sessions.files.stat(id, '/etc/shadow')).rejects.toMatchObject({ code: 'path_not_allowed', field: 'path' });
    await expect(client.sessions.files.stat(id, `${cwd}/../../../etc/passwd`)).rejects.toMatchObject({ code: 'path_not_allowed' });
    await expect(client.sessions.files.stat(id, `${cwd}/absent`)).rejects.toMatchObject({ code: 'not_found' });

    const started = await client.sessions.processes.start(id, { argv: ['bash', '--norc'], pty: { cols: 80, rows: 24 } });
    const terminal = await client.sessions.processes.attach(id, started.id);
    terminal.resize({ cols: 101, rows: 33 });
    await terminal.write('stty size; exit 7\n');
    let shown = '';
    let exit = null;
    for await (const frame of terminal.output) {
      if (frame.type === frameType.stdout) shown += decode(frame.payload);
      if (frame.type === frameType.exit) exit = parseExit(frame);
    }
    expect(shown).toContain('33 101');
    expect(exit).toEqual({ exitCode: 7, signal: null });
    expect((await client.sessions.ports(id)).map(({ port }) => port)).toContain(8080);
    await client.sessions.delete(id);
  });

  test('what runs in the sandbox cannot look into the runner, where the answers to its questions come in', async () => {
    const { id } = await client.sessions.create({ agent: 'shell' });
    // The same look at a process of its own shows that it is the runner that is closed, not /proc.
    const script = 'for p in $$ $PPID; do for f in environ mem maps; do head -c1 /proc/$p/$f >/dev/null 2>&1 && echo "$p/$f"; done; done; echo own $$';
    const { stdout } = await client.sessions.exec(id, { argv: ['sh', '-c', script] });
    const lines = decode(stdout).trim().split('\n');
    const own = lines.pop()!.split(' ')[1];
    expect(lines).toEqual([`${own}/environ`, `${own}/maps`]);
    await client.sessions.delete(id);
  });

  test('the shell agent runs the prompt as a script', async () => {
    const { id } = await client.sessions.create({ agent: 'shell', repository: `file://${repository}` });
    const { turn } = await runTurn(client, id, 'echo "a line" >> README.md\ngit status --short');
    expect(turn.state).toBe('completed');
    expect((await client.sessions.diff(id)).patch).toContain('+a line');
    await client.sessions.delete(id);
  });
});

describe('a session outlives', () => {
  test('an interrupt, a crash of its agent, malformed messages', async () => {
    const { id } = await scriptedSession(client);
    const { turnId } = await client.sessions.prompt(id, 'say one\nhang');
    for await (const event of client.sessions.events(id)) if (event.type === 'turn.started') break;
    const waiting = await client.sessions.prompt(id, 'say two');
    expect(await client.sessions.interrupt(id)).toEqual({ interrupted: turnId });
    expect((await client.sessions.waitForTurn(id, turnId)).state).toBe('cancelled');
    expect((await client.sessions.waitForTurn(id, waiting.turnId)).state).toBe('cancelled');

    const crashed = await runTurn(client, id, 'say three\ncrash');
    expect(crashed.turn).toMatchObject({ state: 'failed', error: { code: 'agent_failed' } });
    const after = await runTurn(client, id, 'malformed\nsay still here\nrecall');
    expect(after.turn.state).toBe('completed');
    expect(after.text).toContain('still here');
    expect(after.events.some((event) => event.type === 'agent.log' && event.data.level === 'warn')).toBe(true);
    await client.sessions.delete(id);
  });

  test('its slot being needed: put to rest, and back with files and conversation', async () => {
    const first = await scriptedSession(client);
    await runTurn(client, first.id, 'write kept.txt still here\nsay one');
    const others = [await scriptedSession(client), await scriptedSession(client)];
    for (const other of others) await runTurn(client, other.id, 'say hi');
    const { status } = await client.sessions.get(first.id);
    expect(['stopped', 'hibernated']).toContain(status);
    const again = await runTurn(client, first.id, 'bash cat kept.txt\nrecall');
    expect(again.turn.state).toBe('completed');
    expect(again.text).toMatch(/2/);
    const events = await allEvents(client, first.id);
    const started = events.filter((event) => event.type === 'agent.started').map((event) => event.data.resumed);
    // Woken with its processes the agent is the same; started from its disk it takes its conversation up.
    expect(started).toEqual(status === 'hibernated' ? ['new'] : ['new', expect.stringMatching(/load|resume/)]);
    for (const session of [first, ...others]) await client.sessions.delete(session.id);
  });

  test('a restart of the server while a question is open: asked once, answered after', async () => {
    const { id } = await scriptedSession(client);
    const { turnId } = await client.sessions.prompt(id, 'ask Push it?\nsay done');
    for await (const event of client.sessions.events(id)) if (event.type === 'permission.requested') break;
    expect((await client.sessions.get(id)).status).toBe('asking');
    await server.kill();
    server = await installation.start();
    client = server.client;
    expect((await client.sessions.get(id)).status).toBe('asking');
    const stop = new AbortController();
    const answering = answerPermissions(client, id, 'reject_once', stop.signal);
    expect((await client.sessions.waitForTurn(id, turnId)).state).toBe('completed');
    stop.abort();
    expect(await answering).toBe(1);
    const events = await allEvents(client, id);
    expect(events.filter((event) => event.type === 'permission.requested')).toHaveLength(1);
    expect(events.filter((event) => event.type === 'permission.resolved')).toHaveLength(1);
    expect(textOf(events)).toContain('done');
    await client.sessions.delete(id);
  });
});
