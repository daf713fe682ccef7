import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createCore, type Core } from '../core/create-core.ts';
import { createKeyService } from '../core/keys/key-service.ts';
import type { Store } from '../core/ports/store.ts';
import { createSecretService } from '../core/secrets/secret-service.ts';
import { givenToken } from '../core/testing/accounts.ts';
import { createWorld } from '../core/testing/doubles.ts';
import { listen, type HttpServer } from '../main/http-server.ts';
import { createApp } from '../server/app.ts';
import { createBrowserLogin, usedCodes } from '../server/browser-login.ts';
import { keyRoutes } from '../server/routes/keys.ts';
import { secretRoutes } from '../server/routes/secrets.ts';
import { usageRoutes } from '../server/routes/usage.ts';
import { createSecretBox } from '../store/secret-box.ts';
import { boxVault } from '../store/secrets/box-vault.fixture.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import { reportFailure } from './failure.ts';
import { createProgram } from './program.ts';

/**
 * The commands about people, keys, budgets, quotas, secrets and the audit log, in this process, against the real server
 * over HTTP: what they print where, and with which exit code. Everything is read back through another command.
 */
let store: Store;
let core: Core;
let server: HttpServer;
let home: string;
let session: string;
const tokens: Record<string, string> = {};

beforeAll(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  const { deps } = createWorld(store, { slots: 4 });
  core = createCore(deps);
  await core.start(AbortSignal.timeout(5_000));
  home = await mkdtemp(join(tmpdir(), 'berth-cli-'));
  const { agents, installer, logger, clock } = deps;
  const vault = boxVault(await createSecretBox(join(home, 'key')));
  const login = createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: usedCodes(store) });
  const app = createApp(
    { core, store, browser: { login, publicUrl: () => null }, agents, installer, logger, providerName: 'memory', version: '0', report: async () => [] },
    {
      authenticated: [
        keyRoutes(createKeyService({ store, vault, clock, environmentApis: [] })),
        secretRoutes(createSecretService({ store, secrets: vault, clock, logger })),
        usageRoutes(store),
      ],
    },
  );
  server = await listen(app, '127.0.0.1', 0);
  tokens['ada'] = await givenToken(store, 'ada');
  tokens['max'] = await givenToken(store, 'max', { role: 'member' });
  session = (await core.sessions.create({ agent: 'any', permissions: 'policy', title: 'One' }, 'ada', AbortSignal.timeout(5_000))).id;
});
afterAll(async () => {
  await server.close();
  await core.close();
  await store.close();
  await rm(home, { recursive: true, force: true });
});

interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

/** As `main.ts` runs a command, its streams caught; `input` is piped in. */
async function run(as: string, input: string, args: readonly string[]): Promise<Said> {
  const said: Said = { code: -1, stdout: '', stderr: '' };
  const caught = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      said[name] += String(text);
      return true;
    }),
  );
  const stdin = vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([Buffer.from(input)]) as unknown as typeof process.stdin);
  const flags = ['--url', server.url, '--token', tokens[as]!];
  const before = process.exitCode;
  try {
    const json = args.includes('--json');
    try {
      await createProgram({ json }).parseAsync([...args, ...flags], { from: 'user' });
      said.code = Number(process.exitCode);
    } catch (error) {
      said.code = reportFailure(error, json);
    }
    return said;
  } finally {
    process.exitCode = before;
    for (const spy of [...caught, stdin]) spy.mockRestore();
  }
}

const berth = (...args: string[]) => run('ada', '', args);
const asMax = (...args: string[]) => run('max', '', args);
/** Of a list: its lines below the headings, cells joined by one space. */
const linesOf = ({ stdout }: Said) => stdout.trim().split('\n').slice(1).map((line) => line.trim().split(/ {2,}/).join(' '));

test('users are added with a link, listed, changed, shut out and removed', async () => {
  const added = await berth('user', 'add', 'grace', '--name', 'Grace \u001b[31mHopper');
  expect(added).toMatchObject({ code: 0, stderr: 'Send grace this link: it signs one browser in, once, within a day.\n' });
  expect(added.stdout).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\S+\n$/);
  expect(await berth('user', 'role', 'grace', 'viewer')).toMatchObject({ code: 0, stdout: '', stderr: 'grace is viewer now.\n' });
  expect((await berth('user', 'disable', 'grace')).stderr).toBe('grace is disabled; what was open has ended.\n');
  const listed = await berth('user', 'ls');
  expect(listed.stdout).toMatch(/^USER +ROLE +STATE +ADDED +NAME\n/);
  expect(listed.stdout).not.toContain('\u001b[31m');
  expect(linesOf(listed).find((line) => line.startsWith('grace'))).toMatch(/^grace viewer disabled .* Grace .*Hopper$/);
  expect(await berth('user', 'role', 'grace', 'king')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^berth: .*role/) });
  expect((await berth('user', 'add', 'Not A Name')).stderr).toMatch(/^berth: handle: small letters, [^(]*$/);
  expect(await berth('user', 'rm', 'grace')).toMatchObject({ code: 0, stderr: 'grace is removed.\n' });
  expect(await berth('user', 'rm', 'grace')).toMatchObject({ code: 3, stderr: expect.stringContaining('listed by: berth user ls') });
  expect(await asMax('user', 'add', 'eve')).toMatchObject({ code: 4, stdout: '' });
});

test('teams have members with roles', async () => {
  expect(await berth('team', 'ls')).toMatchObject({ code: 0, stdout: '', stderr: 'No teams.\n' });
  expect((await berth('team', 'add', 'crew', '--name', 'The crew')).stderr).toBe('Add members with: berth team member crew <user>\n');
  expect((await berth('team', 'member', 'crew', 'max', '--role', 'viewer')).stderr).toBe('max is viewer of crew.\n');
  expect(linesOf(await berth('team', 'ls'))).toEqual(['crew The crew ada (owner), max (viewer)']);
  expect(await berth('team', 'member', 'crew', 'max', '--role', 'boss')).toMatchObject({ code: 2, stderr: expect.stringContaining('--role') });
  expect((await berth('team', 'member', 'crew', 'max', '--remove')).stderr).toBe('max is out of crew.\n');
  expect(linesOf(await berth('team', 'ls'))).toEqual(['crew The crew ada (owner)']);
});

test('a token is printed once, serves, and serves no more when it is revoked', async () => {
  const added = await berth('token', 'add', 'ci', '--scope', 'read', '--expires', '12h', '--json');
  const { secret, token } = JSON.parse(added.stdout) as { secret: string; token: { id: string } };
  expect(added.stderr).toBe('');
  tokens['ci'] = secret;
  expect(await run('ci', '', ['team', 'ls'])).toMatchObject({ code: 0 });
  expect(await run('ci', '', ['team', 'add', 'other'])).toMatchObject({ code: 4 });
  const listed = await berth('token', 'ls');
  expect(linesOf(listed).find((line) => line.startsWith(token.id))).toMatch(/ read \d{4}-\d\d-\d\d .* ci$/);
  expect(listed.stdout).not.toContain(secret);
  expect((await berth('token', 'rm', token.id)).stderr).toBe(`${token.id} is revoked.\n`);
  expect(await run('ci', '', ['team', 'ls'])).toMatchObject({ code: 4, stderr: expect.stringContaining('--token or BERTH_TOKEN') });
  expect(await berth('token', 'add', 'x', '--expires', 'soon')).toMatchObject({ code: 2, stderr: expect.stringContaining('expires') });
});

test('a model key is read from standard input and never shown', async () => {
  expect(await berth('key', 'ls')).toMatchObject({ code: 0, stdout: '', stderr: 'No keys.\n' });
  expect(await run('ada', '', ['key', 'add', 'default', '--api', 'anthropic'])).toMatchObject({ code: 2, stderr: expect.stringContaining('nothing was given') });
  const made = await run('ada', 'sk-very-secret\n', ['key', 'add', 'default', '--api', 'anthropic', '--server']);
  const id = made.stdout.trim();
  expect(made).toMatchObject({ code: 0, stderr: '' });
  const listed = await berth('key', 'ls');
  expect(linesOf(listed)).toEqual([expect.stringMatching(new RegExp(`^${id} default anthropic all API key`))]);
  expect(JSON.stringify([made, listed, await berth('key', 'ls', '--json')])).not.toContain('very-secret');
  expect(await run('max', 'sk-x', ['key', 'add', 'x', '--api', 'openai', '--server'])).toMatchObject({ code: 4 });
  expect(await berth('key', 'add', 'x', '--api', 'nobody')).toMatchObject({ code: 2, stderr: expect.stringContaining('--api') });
  expect(await berth('key', 'rm', id)).toMatchObject({ code: 0, stdout: '', stderr: `${id} is removed.\n` });
  expect(await berth('key', 'rm', id)).toMatchObject({ code: 3 });
});

test('a secret for a service is set, listed without its value, and removed with a word', async () => {
  expect(await berth('secret', 'ls')).toMatchObject({ code: 0, stdout: '', stderr: 'No secrets.\n' });
  const set = await run('ada', 'k-9f8e7d\n', ['secret', 'set', 'npm', '--host', 'registry.example.org']);
  expect(set).toMatchObject({ code: 0, stderr: '' });
  expect(linesOf(set)).toEqual([expect.stringMatching(/^npm registry\.example\.org authorization: Bearer \{value\} /i)]);
  const listed = await berth('secret', 'ls', '--json');
  expect(JSON.parse(listed.stdout)).toMatchObject({ secrets: [{ name: 'npm', hosts: ['registry.example.org'] }] });
  expect(JSON.stringify([set, listed])).not.toContain('9f8e7d');
  expect(await berth('secret', 'set', 'npm')).toMatchObject({ code: 2, stderr: expect.stringContaining('--host') });
  expect(await run('ada', '', ['secret', 'set', 'npm', '--host', 'a.example.org'])).toMatchObject({ code: 2, stderr: expect.stringContaining('nothing was given') });
  expect(await berth('secret', 'rm', 'npm')).toMatchObject({ code: 0, stdout: '', stderr: 'npm is removed.\n' });
  expect(await berth('secret', 'rm', 'npm', '--json')).toMatchObject({ code: 3, stdout: '' });
});

test("budgets: a session's own, a user's, and what was used", async () => {
  expect(await berth('budget', 'show', session)).toMatchObject({ code: 0, stdout: '', stderr: 'No limits.\n' });
  const set = await berth('budget', 'set', session, 'usd=5,turns=20');
  expect(set.stdout).toMatch(/^LIMIT OF +ON +USED +OF/);
  expect(linesOf(set)).toEqual(expect.arrayContaining([expect.stringMatching(/^this session usd 0 5/), expect.stringMatching(/^this session turns 0 20/)]));
  expect((await berth('budget', 'user', 'max', '--day', 'usd=3')).stdout).toBe('max\nsession  no limit\nuser     no limit\nday      usd=3\n');
  expect(await berth('budget', 'user', 'max', '--day', 'usd=3', '--reset')).toMatchObject({ code: 2, stderr: expect.stringContaining('--reset') });
  expect(await berth('budget', 'set', session, 'gold=5')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^berth: expected of usd, tokens, turns and minutes/) });
  expect(await asMax('budget', 'user', 'max', '--day', 'usd=300')).toMatchObject({ code: 4 });
  expect(await berth('usage')).toMatchObject({ code: 0, stdout: '', stderr: 'Nothing was used.\n' });
  expect(await berth('usage', '--by', 'moon')).toMatchObject({ code: 2, stderr: expect.stringContaining('session, user, turn, model, day') });
  expect(JSON.parse((await berth('usage', session, '--json')).stdout)).toMatchObject({ rows: [], total: { calls: 0 } });
});

test("quotas: what is used, what holds and whose it is", async () => {
  const set = await berth('quota', 'set', 'max', 'slots=2,disk=10g');
  expect(set.stdout).toMatch(/^user max\nQUOTA +USED +OF/);
  const lines = set.stdout.trim().split('\n').slice(2).map((line) => line.trim().split(/ {2,}/));
  expect(lines).toEqual([['slots', '0', '2'], ['sessions', '0', 'no limit'], ['disk', '0 GiB', '10 GiB'], ['priority', 'no limit']]);
  expect((await asMax('quota', 'show')).stdout).toBe(set.stdout);
  expect(await asMax('quota', 'set', 'max', 'slots=9')).toMatchObject({ code: 4 });
  expect(await berth('quota', 'set', 'max', 'slots=many')).toMatchObject({ code: 2, stderr: expect.stringContaining('slots') });
  expect(await berth('quota', 'show', '--team')).toMatchObject({ code: 2, stderr: expect.stringContaining('--team needs a name') });
  expect(JSON.parse((await berth('quota', 'set', 'max', 'none', '--json')).stdout)).toMatchObject({ quota: null });
});

test('the policy of a session is shown and set', async () => {
  expect((await berth('policy', 'show', session)).stdout).toMatch(/^policy: by rules, and a person for the rest\n/);
  expect((await berth('policy', 'set', session, 'ask')).stdout).toBe('ask: a person is always asked\n');
  expect(await berth('policy', 'set', session, '/no/such/file.json')).toMatchObject({ code: 2, stdout: '' });
  expect(await berth('policy', 'show', 'ses_unknown')).toMatchObject({ code: 3 });
});

test('the audit log tells what these did, and is whole', async () => {
  const listed = await berth('audit', '--action', 'user.*');
  expect(listed.stdout).toMatch(/^SEQ +AT +WHO +WHAT +TO +DETAIL\n/);
  expect(linesOf(listed)[0]).toContain('user:ada user.');
  expect(await berth('audit', '--actor', 'user:nobody')).toMatchObject({ code: 0, stdout: '', stderr: 'No entries.\n' });
  const verified = await berth('audit', 'verify');
  expect(verified.stdout).toMatch(/^intact: \d+ entries, head \w+\n$/);
  const head = /head (\w+)/.exec(verified.stdout)![1]!;
  expect(await berth('audit', 'verify', '--head', head)).toMatchObject({ code: 0 });
  expect(await berth('audit', '--since', 'yesterday')).toMatchObject({ code: 2, stderr: expect.stringContaining('--since') });
  const exported = await berth('audit', 'export');
  const entries = exported.stdout.trim().split('\n').map((line) => JSON.parse(line) as { action: string });
  expect(entries.length).toBeGreaterThan(10);
  for (const secret of ['very-secret', '9f8e7d', tokens['ci']!]) expect(exported.stdout).not.toContain(secret);
  expect(await asMax('audit')).toMatchObject({ code: 4 });
});
