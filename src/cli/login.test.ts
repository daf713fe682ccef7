import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCore, type Core } from '../core/create-core.ts';
import type { Store } from '../core/ports/store.ts';
import { givenToken } from '../core/testing/accounts.ts';
import { createWorld, type World } from '../core/testing/doubles.ts';
import { hashToken } from '../core/users/principal.ts';
import { listen, type HttpServer } from '../main/http-server.ts';
import type { DeviceStart } from '../protocol/device-api.ts';
import { createBerthClient, type BerthClient } from '../sdk/index.ts';
import { createApp } from '../server/app.ts';
import { createBrowserLogin, usedCodes } from '../server/browser-login.ts';
import { trustedProxies } from '../server/limits/client-address.ts';
import { createRateLimiter, type RateLimiter } from '../server/limits/rate-limiter.ts';
import { defaultRateLimits } from '../server/limits/rate-limits.ts';
import { createRequestLimits } from '../server/limits/request-limits.ts';
import { createSqliteStore } from '../store/sqlite.ts';

/** `berth login`, `whoami` and `logout` as programs, and what the server does for programs that ask to be let in. */
let store: Store;
let world: World;
let core: Core;
let server: HttpServer;
let limiter: RateLimiter;
let home: string;
/** Nobody, and people who are signed in. */
let program: BerthClient;
let ada: BerthClient;
const client = (token: string | null) => createBerthClient({ baseUrl: server.url, token });

beforeAll(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store);
  core = createCore(world.deps);
  const { agents, installer, logger } = world.deps;
  limiter = await createRateLimiter({ limits: { ...defaultRateLimits, signin: 8 }, redisUrl: null, logger });
  const login = createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: usedCodes(store) });
  const browser = { login, publicUrl: () => null };
  const limits = createRequestLimits(limiter, trustedProxies(['127.0.0.1']));
  const app = createApp({ core, store, browser, agents, installer, logger, limits, providerName: 'memory', version: '0', report: async () => [] });
  server = await listen(app, '127.0.0.1', 0);
  home = await mkdtemp(join(tmpdir(), 'berth-login-'));
});
afterAll(async () => {
  await server.close();
  limiter.close();
  await core.close();
  await store.close();
  await rm(home, { recursive: true, force: true });
});

let hosts = 0;
beforeEach(async () => {
  hosts += 1;
  const fetch = (input: string, init: RequestInit = {}) =>
    globalThis.fetch(input, { ...init, headers: { ...(init.headers as Record<string, string>), 'x-forwarded-for': `192.0.2.${hosts}` } });
  program = createBerthClient({ baseUrl: server.url, token: null, fetch });
  ada = client(await givenToken(store, `ada${hosts}`, { role: 'member' }));
});

function berth(...args: string[]) {
  const child = spawn(join(import.meta.dirname, '../../bin/berth'), args, {
    env: { PATH: process.env['PATH'] ?? '', HOME: home, XDG_CONFIG_HOME: home },
    cwd: home,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  const said = Promise.withResolvers<string>();
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    if (stdout.includes('\n')) said.resolve(stdout.split('\n')[0]!);
  });
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }));
  return { firstLine: said.promise, ended };
}

test('login keeps a token for the other commands; logout ends it', async () => {
  const running = berth('login', server.url, '--json', '--scope', 'prompt');
  const start = JSON.parse(await running.firstLine) as { url: string; userCode: string };
  expect(start.url).toBe(`${server.url}/device?code=${start.userCode}`);
  expect(start.userCode).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
  expect(await ada.devices.get(start.userCode.toLowerCase().replace('-', ' '))).toMatchObject({
    client: expect.stringContaining('@'),
    address: '127.0.0.1',
    scopes: ['prompt'],
    tokenDays: 90,
  });
  await ada.devices.decide(start.userCode, true);
  const { code, stdout } = await running.ended;
  expect([code, JSON.parse(stdout.split('\n')[1]!)]).toEqual([0, expect.objectContaining({ user: 'ada1', scopes: ['prompt'] })]);

  const path = join(home, 'berth', 'client.json');
  const kept = JSON.parse(await readFile(path, 'utf8')) as { url: string; token: string; by: string };
  expect([(await stat(path)).mode & 0o777, kept.url, kept.by]).toEqual([0o600, server.url, 'login']);
  expect(stdout).not.toContain(kept.token);
  const who = await berth('whoami').ended;
  expect(who.stdout).toMatch(new RegExp(`server +${server.url}\nuser +ada1 .*\nrole +member\nscopes +prompt`));
  const out = await berth('logout').ended;
  expect([out.code, out.stderr]).toEqual([0, `Signed out of ${server.url}.\n`]);
  expect((await store.read.tokenByHash(hashToken(kept.token)))?.revokedAt).not.toBeNull();
  const [after, twice] = await Promise.all([berth('whoami').ended, berth('logout').ended]);
  expect([after.code, after.stderr]).toEqual([5, expect.stringContaining('berth login')]);
  expect([twice.code, twice.stderr]).toEqual([0, 'Nothing was changed: nobody is signed in.\n']);
});

test('an address that is none is refused; logout leaves the token of the machine’s own server alone', async () => {
  const { writeConfig } = await import('./config-file.ts');
  const token = await givenToken(store, 'owner');
  await writeConfig(join(home, 'berth', 'client.json'), { url: server.url, token });
  const [bad, out] = await Promise.all([berth('login', 'not a url').ended, berth('logout').ended]);
  expect([bad.code, bad.stderr]).toEqual([2, expect.stringContaining('"not a url" is not an address')]);
  expect([out.code, out.stderr]).toEqual([0, expect.stringContaining('not of berth login')]);
  expect((await client(token).me()).user).toBe('owner');
});

describe('a program that asks', () => {
  const begin = (): Promise<DeviceStart> => program.devices.begin({ client: 'laptop' });

  test('gets one token, once, by a code that is good once', async () => {
    const start = await begin();
    expect(await program.devices.poll(start.deviceCode)).toEqual({ state: 'waiting' });
    await ada.devices.decide(start.userCode, true);
    await expect(ada.devices.decide(start.userCode, false)).rejects.toMatchObject({ code: 'not_found', field: 'code' });
    const answers = await Promise.all([program.devices.poll(start.deviceCode), program.devices.poll(start.deviceCode)]);
    expect(answers.map(({ state }) => state).toSorted()).toEqual(['ended', 'granted']);
    expect(await program.devices.poll(start.deviceCode)).toEqual({ state: 'ended' });
    const granted = answers.find((answer) => answer.state === 'granted')!;
    expect(granted).toMatchObject({ token: { user: `ada${hosts}`, name: 'berth login: laptop', scopes: ['manage'] } });
    const [entry] = (await store.read.audit({ order: 'newest', limit: 5 })).filter(({ action }) => action === 'device.answered');
    expect(entry).toMatchObject({ actor: `user:ada${hosts}`, detail: { client: 'laptop', address: `192.0.2.${hosts}`, allowed: true } });
    expect(JSON.stringify(entry)).not.toContain(start.userCode);
  });

  test('is refused, hears so, and is forgotten', async () => {
    const start = await begin();
    await ada.devices.decide(start.userCode, false);
    expect(await program.devices.poll(start.deviceCode)).toEqual({ state: 'denied' });
    expect(await program.devices.poll(start.deviceCode)).toEqual({ state: 'ended' });
  });

  test('gets nothing from somebody who was disabled meanwhile, or after its time', async () => {
    const [first, second] = [await begin(), await begin()];
    await ada.devices.decide(first.userCode, true);
    await store.transaction((tx) => tx.updateUser(`ada${hosts}`, { disabledAt: '2026-01-01T00:00:00.000Z' }));
    expect(await program.devices.poll(first.deviceCode)).toEqual({ state: 'denied' });
    const { expiresAt } = second;
    await store.transaction((tx) => tx.deleteDeviceRequestsUntil(expiresAt));
    expect(await program.devices.poll(second.deviceCode)).toEqual({ state: 'ended' });
  });

  test('is let in only by a token that may do all that its user may, and never by the device’s own code', async () => {
    const start = await begin();
    const narrow = client(await givenToken(store, `ada${hosts}`, { scopes: ['manage'] }));
    await expect(narrow.devices.decide(start.userCode, true)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(ada.devices.get(start.deviceCode)).rejects.toMatchObject({ code: 'not_found' });
    await expect(program.devices.get(start.userCode)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(await program.devices.poll(start.userCode)).toEqual({ state: 'ended' });
  });

  test('and whoever guesses codes, do so a few times a minute; not too many wait', async () => {
    const guesses = await Promise.allSettled(Array.from({ length: 9 }, () => ada.devices.get('BBBB-BBBB')));
    expect(guesses.map((each) => (each.status === 'rejected' ? (each.reason as { code: string }).code : '')).toSorted()).toEqual([
      ...Array.from({ length: 8 }, () => 'not_found'),
      'rate_limited',
    ]);
    const asked = await Promise.allSettled(Array.from({ length: 9 }, begin));
    expect(asked.filter(({ status }) => status === 'rejected')).toHaveLength(1);
    await store.transaction(async (tx) => {
      for (let index = 0; index < 500; index += 1) {
        await tx.insertDeviceRequest({
          deviceHash: `d${index}`,
          codeHash: `c${index}`,
          client: 'x',
          address: 'x',
          scopes: ['read'],
          state: 'waiting',
          owner: null,
          createdAt: '2026-01-01T00:00:00.000Z',
          expiresAt: '9999-01-01T00:00:00.000Z',
        });
      }
    });
    await expect(core.accounts.devices.begin({ client: 'x', scopes: ['read'], address: 'x' })).rejects.toMatchObject({ code: 'unavailable' });
  });
});
