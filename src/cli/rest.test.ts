import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, connect, type AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCore, type Core } from '../core/create-core.ts';
import type { Store } from '../core/ports/store.ts';
import { createProviders } from '../core/providers.ts';
import { createWorld, type World } from '../core/testing/doubles.ts';
import { listen, type HttpServer } from '../main/http-server.ts';
import { createApp } from '../server/app.ts';
import { givenToken } from '../core/testing/accounts.ts';
import { createBrowserLogin, usedCodes } from '../server/browser-login.ts';
import { createSqliteStore } from '../store/sqlite.ts';

/** The commands around rest, copies and ports, against the real server over the core's doubles. */
let store: Store;
let world: World;
let core: Core;
let server: HttpServer;
let env: Record<string, string>;
let home: string;
let id: string;

beforeAll(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store, { slots: 4 });
  const { provider } = world;
  const dialable = {
    ...provider,
    capabilities: { ...provider.capabilities, ports: 'dynamic' as const },
    dial: async (_id: string, port: number) => connect({ host: '127.0.0.1', port, allowHalfOpen: true }),
  };
  world.deps.providers = createProviders([dialable]);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(5_000));
  const { agents, installer, logger } = world.deps;
  const login = createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: usedCodes(store) });
  const browser = { login, publicUrl: () => null };
  const report = async () => [];
  const app = createApp({
    core,
    store,
    browser,
    agents,
    installer,
    logger,
    providerName: 'memory',
    version: '0',
    report,
  });
  server = await listen(app, '127.0.0.1', 0);
  home = await mkdtemp(join(tmpdir(), 'berth-cli-'));
  const token = await givenToken(store, 'ada');
  env = {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    XDG_CONFIG_HOME: home,
    BERTH_URL: server.url,
    BERTH_TOKEN: token,
  };
  id = (
    await core.sessions.create({ agent: 'any', permissions: 'ask', title: 'One' }, 'ada', AbortSignal.timeout(5_000))
  ).id;
  await core.sessions.wake(id, AbortSignal.timeout(5_000), 'ada');
});
afterAll(async () => {
  await server.close();
  await core.close();
  await store.close();
  await rm(home, { recursive: true, force: true });
});

function start(...args: string[]): ChildProcess {
  return spawn(join(import.meta.dirname, '../../bin/berth'), args, {
    env,
    cwd: home,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function berth(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = start(...args);
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

test('idle sets the times of a session, keeps those it does not name, and refuses nonsense', async () => {
  const [set, bad] = await Promise.all([
    berth('idle', id, '--pause', '10m', '--archive', 'never', '--then', 'destroy'),
    berth('idle', id, '--pause', 'soon'),
  ]);
  expect(set).toMatchObject({ code: 0, stdout: expect.stringContaining('paused after 10 min') });
  expect(set.stdout).toContain('destroyed after never');
  expect(bad).toMatchObject({ code: 2, stderr: expect.stringContaining('--pause: a time such as 90s') });
  expect((await core.sessions.get(id)).idle).toEqual({ pauseMs: 600_000, archiveMs: null, lastStep: 'destroy' });
});

test('a snapshot is made and listed, and a session forked from it', async () => {
  const made = await berth('snapshot', 'create', id, 'before');
  expect(made).toMatchObject({ code: 0, stderr: expect.stringContaining('berth fork --snapshot before') });
  const [listed, forked, unknown] = await Promise.all([
    berth('snapshot', 'ls'),
    berth('fork', '--snapshot', 'before', '--json'),
    berth('snapshot', 'rm', 'nothing'),
  ]);
  expect(listed.stdout).toMatch(/before +ses_\S+ +disk/);
  expect(JSON.parse(forked.stdout)).toMatchObject({ sessions: [{ forkedFrom: id, title: 'One (fork)' }] });
  expect(unknown).toMatchObject({ code: 3, stderr: expect.stringContaining('there is no snapshot nothing') });
  expect(await berth('snapshot', 'rm', 'before')).toMatchObject({ code: 0, stdout: 'before\n' });
});

test('forward joins a local port to one inside', async () => {
  const inside = createServer((socket) => socket.pipe(socket));
  inside.listen(0, '127.0.0.1');
  await once(inside, 'listening');
  const child = start('forward', id, `0:${(inside.address() as AddressInfo).port}`);
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  const port = Number(/:(\d+) -> /.exec(line.toString())?.[1]);
  const socket = connect(port, '127.0.0.1');
  socket.end('over and back');
  const got: Buffer[] = [];
  for await (const chunk of socket) got.push(chunk as Buffer);
  expect(Buffer.concat(got).toString()).toBe('over and back');
  child.kill('SIGINT');
  expect(await once(child, 'close')).toEqual([0, null]);
  inside.close();
});

test('archive puts a session away; ls shows it with --all', async () => {
  expect(await berth('archive', id)).toMatchObject({ code: 0, stdout: `${id} archived\n` });
  const [some, all] = await Promise.all([berth('ls'), berth('ls', '--all')]);
  expect(some.stdout).not.toContain(id);
  expect(all.stdout).toMatch(new RegExp(`${id} +archived`));
  expect(await berth('wake', id)).toMatchObject({ code: 0, stdout: `${id} idle\n` });
});
