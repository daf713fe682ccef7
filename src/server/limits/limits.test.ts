import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCore, type Core } from '../../core/create-core.ts';
import type { Store } from '../../core/ports/store.ts';
import { givenToken } from '../../core/testing/accounts.ts';
import { createWorld, type World } from '../../core/testing/doubles.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createApp } from '../app.ts';
import { createBrowserLogin, usedCodes } from '../browser-login.ts';
import type { Router } from '../context.ts';
import { trustedProxies } from './client-address.ts';
import { createRateLimiter } from './rate-limiter.ts';
import { defaultRateLimits, parseRateLimits } from './rate-limits.ts';
import { createRequestLimits, type RequestLimits } from './request-limits.ts';

let store: Store;
let world: World;
let core: Core;
let limits: RequestLimits;
let app: Router;
let ada: string;
let max: string;

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(5_000));
  const { agents, installer, logger } = world.deps;
  const limiter = await createRateLimiter({
    limits: { signin: 2, public: 6, token: 8, user: 12, sessions: 2, prompts: 2 },
    redisUrl: null,
    logger,
  });
  limits = createRequestLimits(limiter, trustedProxies(['127.0.0.1', '10.0.0.0/8']));
  app = createApp({
    core,
    store,
    browser: {
      login: createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: usedCodes(store) }),
      publicUrl: () => null,
    },
    limits,
    agents,
    installer,
    logger,
    providerName: 'memory',
    version: '0',
    report: async () => [],
  });
  ada = await givenToken(store, 'ada');
  max = await givenToken(store, 'max');
});
afterEach(async () => {
  await core.close();
  await store.close();
});

/** From behind a proxy on this machine, by a caller at `from`. */
function call(method: string, path: string, token: string | null, { from = '192.0.2.1', body }: { from?: string; body?: unknown } = {}) {
  const headers: Record<string, string> = { 'x-forwarded-for': from, 'content-type': 'application/json' };
  if (token !== null) headers['authorization'] = `Bearer ${token}`;
  const init = { method, headers: { ...headers, origin: 'http://localhost' }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const socket = { remoteAddress: '127.0.0.1', destroy() {}, once() {}, off() {} };
  return app.request(path, init, { incoming: { socket }, outgoing: { once() {}, off() {} } });
}

const statuses = async (times: number, one: () => Response | Promise<Response>): Promise<number[]> => {
  const found: number[] = [];
  for (let n = 0; n < times; n++) found.push((await one()).status);
  return found;
};

const make = (token: string) => call('POST', '/api/sessions', token, { body: { agent: 'any' } });
const signIn = (from: string) => call('POST', '/api/login', null, { from, body: { token: 'brth_wrong' } });

describe('limits', () => {
  test('sessions are limited for each user; the answer names the limit and says when to come again', async () => {
    expect(await statuses(2, () => make(ada))).toEqual([201, 201]);
    const refused = await make(ada);
    expect(refused.status).toBe(429);
    const wait = Number(refused.headers.get('retry-after'));
    expect(wait).toBeGreaterThan(50);
    expect(await refused.json()).toMatchObject({
      error: { code: 'rate_limited', retryable: true, context: { limit: 'sessions', retryAfterSeconds: wait } },
    });
    expect(await core.sessions.list({ limit: 10 })).toHaveLength(2);
    expect((await make(max)).status).toBe(201);
  });

  test('prompts are limited over all ways in, sockets too', async () => {
    const { id } = (await (await make(ada)).json()) as { id: string };
    expect((await call('POST', `/api/sessions/${id}/turns`, ada, { body: { prompt: 'go' } })).status).toBe(202);
    await limits.prompt('ada');
    await expect(limits.prompt('ada')).rejects.toMatchObject({ code: 'rate_limited', context: { limit: 'prompts' } });
    expect((await call('POST', '/api/session/prompt', ada, { body: { sessionId: id, prompt: 'go' } })).status).toBe(429);
    expect(await store.read.turns(id)).toHaveLength(1);
  });

  test('a token is limited, and its user over all of them; what is refused counts', async () => {
    const second = await givenToken(store, 'ada');
    expect(await statuses(9, () => call('GET', '/api/doctor', ada))).toEqual([...Array.from({ length: 8 }, () => 200), 429]);
    expect(await statuses(5, () => call('GET', '/api/me', second))).toEqual([200, 200, 200, 200, 429]);
    expect((await call('GET', '/api/me', max)).status).toBe(200);
    const unknown = () => call('GET', '/api/sessions/ses_none', max);
    expect(await statuses(8, unknown)).toEqual([...Array.from({ length: 7 }, () => 404), 429]);
  });

  test('whoever has no token is counted by his address; the health of the server is told to all', async () => {
    expect(await statuses(3, () => signIn('192.0.2.1'))).toEqual([401, 401, 429]);
    expect((await signIn('192.0.2.2')).status).toBe(401);
    expect(await statuses(4, () => call('GET', '/api/me', 'brth_wrong'))).toEqual([401, 401, 401, 429]);
    expect((await call('GET', '/api/openapi.json', null)).status).toBe(429);
    expect(await statuses(20, () => call('GET', '/api/health', null))).not.toContain(429);
    expect((await call('GET', '/api/me', max)).status).toBe(200);
  });

  test('nobody hides behind a header: only what trusted proxies say counts', async () => {
    const spoofed = (n: number) => signIn(`203.0.113.${n}, 198.51.100.7, 10.1.2.3`);
    expect([(await spoofed(1)).status, (await spoofed(2)).status, (await spoofed(3)).status]).toEqual([401, 401, 429]);
    const household = (n: number) => signIn(`2001:db8:1:2::${n}`);
    expect([(await household(1)).status, (await household(2)).status, (await household(3)).status]).toEqual([401, 401, 429]);
    expect((await signIn('2001:db8:1:3::1')).status).toBe(401);
  });
});

test('settings are read, or refused by name', () => {
  expect(parseRateLimits('off')).toBeNull();
  expect(parseRateLimits('')).toEqual(defaultRateLimits);
  expect(parseRateLimits(' prompts=5,signin=1 ')).toEqual({ ...defaultRateLimits, prompts: 5, signin: 1 });
  for (const wrong of ['prompts', 'prompts=0', 'toString=5', 'prompts=-1']) expect(() => parseRateLimits(wrong)).toThrow(TypeError);
  for (const wrong of ['10.0.0.0/33', 'proxy', '::1/x', '10.0.0.0/']) expect(() => trustedProxies([wrong])).toThrow(TypeError);
});
