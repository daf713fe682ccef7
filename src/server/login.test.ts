import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCore, type Core } from '../core/create-core.ts';
import { createWorld } from '../core/testing/doubles.ts';
import type { Store } from '../core/ports/store.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import { createApp } from './app.ts';
import { givenToken } from '../core/testing/accounts.ts';
import { hashToken } from '../core/users/principal.ts';
import { createBrowserLogin, usedCodes, type BrowserLogin } from './browser-login.ts';
import type { Router } from './context.ts';
import { webAppRoutes, type WebFiles } from './web-app.ts';

const origin = 'http://berth.test';
let store: Store;
let core: Core;
let app: Router;
let login: BrowserLogin;
let token: string;
let now: Date;

const files: WebFiles = {
  page: '<meta nonce="BERTH_NONCE"><script nonce="BERTH_NONCE"></script>',
  find: (path) =>
    path === '/assets/app-1234.js'
      ? {
          contentType: 'text/javascript',
          immutable: true,
          read: async (encoding) => ({ body: new TextEncoder().encode(`as ${encoding}`), encoding }),
        }
      : null,
};

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  const { deps } = createWorld(store);
  core = createCore(deps);
  now = new Date('2026-11-28T12:00:00Z');
  token = await givenToken(store, 'ada');
  login = createBrowserLogin({ secret: new Uint8Array(32).fill(7), now: () => now, useUp: usedCodes(store) });
  app = createApp(
    {
      core,
      store,
      agents: deps.agents,
      installer: deps.installer,
      logger: deps.logger,
      providerName: 'memory',
      version: '0.0.0-test',
      report: async () => [],
      browser: { login, publicUrl: () => null },
    },
    { public: [webAppRoutes(files)] },
  );
});

afterEach(async () => {
  await core.close();
  await store.close();
});

const call = (method: string, path: string, headers: Record<string, string> = {}, body?: unknown) =>
  app.request(`${origin}${path}`, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

async function signIn(): Promise<string> {
  const { code } = login.createCode(hashToken(token));
  const answer = await call('POST', '/api/login', { origin }, { code });
  expect(answer.status).toBe(200);
  return (answer.headers.get('set-cookie') ?? '').split(';')[0]!;
}

describe('signing a browser in', () => {
  test('a link works once, and its cookie is out of reach of scripts and other sites', async () => {
    const { code } = login.createCode(hashToken(token));
    const first = await call('POST', '/api/login', { origin }, { code });
    expect(await first.json()).toEqual({ user: 'ada' });
    expect(first.headers.get('set-cookie')).toMatch(
      /^berth_session_[0-9a-f]{8}=.*; Path=\/; HttpOnly; SameSite=Strict$/,
    );
    expect((await call('POST', '/api/login', { origin }, { code })).status).toBe(401);
    // Also by a server that was started since, or another one.
    const other = createBrowserLogin({ secret: new Uint8Array(32).fill(7), now: () => now, useUp: usedCodes(store) });
    await expect(other.redeemCode(code)).rejects.toMatchObject({ code: 'unauthorized', field: 'code' });
  });

  test('a token works too; a wrong one, a forged and a late code do not', async () => {
    expect((await call('POST', '/api/login', { origin }, { token })).status).toBe(200);
    expect((await call('POST', '/api/login', { origin }, { token: 'brth_no' })).status).toBe(401);
    const { code } = login.createCode(hashToken(token));
    expect((await call('POST', '/api/login', { origin }, { code: `${code.slice(0, -2)}xx` })).status).toBe(401);
    now = new Date(now.getTime() + 2 * 60 * 60_000);
    expect((await call('POST', '/api/login', { origin }, { code })).status).toBe(401);
  });

  test('the cookie serves this origin alone: another port of the host is the same site, and is refused', async () => {
    const cookie = await signIn();
    expect((await call('GET', '/api/me', { cookie })).status).toBe(200);
    expect((await call('GET', '/api/me', { cookie, 'sec-fetch-site': 'same-site' })).status).toBe(403);
    expect((await call('POST', '/api/login-links', { cookie })).status).toBe(403);
    expect((await call('POST', '/api/login-links', { cookie, origin: `${origin}:8080` })).status).toBe(403);
    expect((await call('POST', '/api/login-links', { cookie, origin })).status).toBe(201);
    expect((await call('GET', '/api/me', { cookie, upgrade: 'websocket' })).status).toBe(403);
    expect((await call('GET', '/api/me', { cookie, upgrade: 'websocket', origin })).status).toBe(200);
  });

  test('a cookie ends; a forged one never counts; a code is no cookie', async () => {
    const cookie = await signIn();
    expect((await call('GET', '/api/me', { cookie: `${cookie}x` })).status).toBe(401);
    const { code } = login.createCode(hashToken(token));
    expect((await call('GET', '/api/me', { cookie: `${login.cookieName}=${code}` })).status).toBe(401);
    now = new Date(now.getTime() + 31 * 24 * 60 * 60_000);
    expect((await call('GET', '/api/me', { cookie })).status).toBe(401);
  });

  test('signing out takes the cookie away; another origin cannot do it', async () => {
    expect((await call('POST', '/api/logout', { origin: 'http://evil.test' })).status).toBe(403);
    const answer = await call('POST', '/api/logout', { origin });
    expect(answer.status).toBe(204);
    expect(answer.headers.get('set-cookie')).toContain('Max-Age=0');
  });
});

describe('the pages', () => {
  test('every path of the page gets it, with a policy and a nonce of its own', async () => {
    const answers = await Promise.all([call('GET', '/'), call('GET', '/sessions/ses_1')]);
    const policies = answers.map((answer) => answer.headers.get('content-security-policy') ?? '');
    expect(policies[0]).toContain("default-src 'none'; script-src 'self'; style-src 'self' 'nonce-");
    expect(policies[0]).not.toBe(policies[1]);
    const nonce = /'nonce-([^']+)'/.exec(policies[0]!)![1];
    expect(await answers[0]!.text()).toBe(`<meta nonce="${nonce}"><script nonce="${nonce}"></script>`);
  });

  test('files of the build are kept for ever, in the encoding that is asked for', async () => {
    const answer = await call('GET', '/assets/app-1234.js', { 'accept-encoding': 'gzip, deflate, br' });
    expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(answer.headers.get('content-encoding')).toBe('br');
    expect((await call('GET', '/assets/app-1234.js')).headers.get('content-encoding')).toBeNull();
  });

  test('no other file is reachable, and the API keeps its own 404', async () => {
    for (const path of [
      '/assets/../../package.json',
      '/assets/%2e%2e/%2e%2e/package.json',
      '/assets/app-0000.js',
      '/api/nothing',
    ]) {
      const answer = await call('GET', path, { authorization: `Bearer ${token}` });
      expect([path, answer.status]).toEqual([path, 404]);
    }
  });
});
