import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { modelKeyRecord, sessionRecord } from '../../../test/conformance/store-records.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Logger } from '../../core/ports/logger.ts';
import type { SecretVault } from '../../core/ports/secrets.ts';
import type { ModelKeyRecord, Store } from '../../core/ports/store.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import type { ModelUpstreams } from '../upstreams.ts';
import { createModelCredentials, type StoredCredentials } from './model-credentials.ts';

let lines: string[];
let store: Store;
let nowMs: number;
let endpoint: Server;
let tokenUrl: string;
let asked: string[];
let onAsk: () => { status: number; body: unknown };
const open: StoredCredentials[] = [];

const clock: Clock = { now: () => new Date(nowMs), sleep: (ms, signal) => delay(Math.min(ms, 20), undefined, { ...(signal && { signal }) }) };
/** Sealing is the vault's own test. */
const vault: SecretVault = {
  seal: async (plaintext) => `sealed:${plaintext}`,
  open: async (sealed) => sealed.slice('sealed:'.length),
  rotate: () => Promise.reject(new Error('not here')),
};
const write = (fields: object, message: string) => void lines.push(JSON.stringify({ ...fields, message }));
const logger: Logger = { debug: write, info: write, warn: write, error: write, child: () => logger };
const session = sessionRecord({ owner: 'ada', team: 'crew' });

beforeEach(async () => {
  lines = [];
  asked = [];
  nowMs = Date.parse('2026-11-29T12:00:00Z');
  store = await createSqliteStore({ path: ':memory:' });
  await store.transaction((tx) => tx.insertSession(session));
  onAsk = () => ({
    status: 200,
    body: { access_token: `access-${asked.length}`, refresh_token: `refresh-${asked.length}`, expires_in: 3600 },
  });
  endpoint = createServer((request, response) => {
    void text(request).then(async (form) => {
      asked.push(form);
      const { status, body } = onAsk();
      await delay(30);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  endpoint.listen(0, '127.0.0.1');
  await once(endpoint, 'listening');
  tokenUrl = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/token`;
});
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
  endpoint.close();
  await store.close();
  expect(lines.join('\n')).not.toMatch(/access-|refresh-|sk-/);
});

function server(environment: ModelUpstreams = {}): StoredCredentials {
  const made = createModelCredentials({ store, vault, environment, clock, logger });
  open.push(made);
  return made;
}

async function given(change: Partial<ModelKeyRecord>): Promise<ModelKeyRecord> {
  const record = modelKeyRecord({ sealed: `sealed:${JSON.stringify({ apiKey: `sk-${change.name}` })}`, ...change });
  await store.transaction((tx) => tx.insertModelKey(record));
  return record;
}

const givenToken = (change: Partial<ModelKeyRecord> = {}) =>
  given({
    id: 'key_t',
    name: 'plan',
    kind: 'oauth',
    tokenUrl,
    clientId: 'client',
    sealed: `sealed:${JSON.stringify({ accessToken: 'access-0', refreshToken: 'refresh-0' })}`,
    expiresAt: new Date(nowMs + 30_000).toISOString(),
    updatedAt: new Date(nowMs - 3_600_000).toISOString(),
    ...change,
  });

describe('which key serves a session', () => {
  test('its owner own, its team own, the server own, then the environment, each for its API only', async () => {
    const credentials = server({ openai: { baseUrl: 'https://env.test', apiKey: 'sk-env' } });
    const secret = async (id = session.id) => (await credentials.find(id, 'openai'))?.secret ?? null;
    await given({ id: 'key_0', name: 'of-another', api: 'openai', scope: 'user', subject: 'bob' });
    await given({ id: 'key_1', name: 'wrong-api', api: 'gemini', scope: 'user', subject: 'ada' });
    expect(await secret()).toBe('sk-env');
    await given({ id: 'key_2', name: 'all', api: 'openai', scope: 'server', subject: '' });
    expect(await secret()).toBe('sk-all');
    await given({ id: 'key_3', name: 'crews', api: 'openai', scope: 'team', subject: 'crew' });
    expect(await secret()).toBe('sk-crews');
    await given({ id: 'key_4', name: 'a-own', api: 'openai', scope: 'user', subject: 'ada' });
    expect(await secret()).toBe('sk-a-own');
    await given({ id: 'key_5', name: 'default', api: 'openai', scope: 'user', subject: 'ada', baseUrl: 'https://own.test' });
    expect(await credentials.find(session.id, 'openai')).toMatchObject({ secret: 'sk-default', baseUrl: 'https://own.test', scope: 'user' });
    expect(await credentials.find(session.id, 'anthropic')).toBeNull();
    expect(await secret('ses_gone')).toBeNull();
  });

  test('the audit log has each key that serves a session, by name, not at every call', async () => {
    await given({ id: 'key_1', name: 'mine', api: 'openai', scope: 'user', subject: 'ada' });
    const credentials = server();
    for (let call = 0; call < 3; call += 1) await credentials.find(session.id, 'openai');
    const entries = await store.read.audit({ action: 'secret.used', order: 'oldest', limit: 10 });
    expect(entries).toMatchObject([{ actor: `session:${session.id}`, target: 'mine', detail: { api: 'openai', scope: 'user' } }]);
  });
});

describe('a token that ends', () => {
  test('is renewed once for all callers of two servers, and the refresh token with it', async () => {
    await givenToken();
    const [one, other] = [server(), server()];
    const found = await Promise.all([one, one, other, other].map((each) => each.find(session.id, 'anthropic')));
    expect(found.map((each) => each?.secret)).toEqual(Array(4).fill('access-1'));
    expect(asked).toEqual(['grant_type=refresh_token&refresh_token=refresh-0&client_id=client']);
    expect(await store.read.modelKey('key_t')).toMatchObject({ expiresAt: new Date(nowMs + 3_600_000).toISOString(), renewingUntil: null });
    nowMs += 3_590_000;
    expect((await other.find(session.id, 'anthropic'))?.secret).toBe('access-2');
    expect(asked[1]).toContain('refresh_token=refresh-1');
  });

  test('of a server that died while it renewed is renewed when its lease is over', async () => {
    await givenToken({ renewingUntil: new Date(nowMs + 50).toISOString() });
    const waiting = server().find(session.id, 'anthropic');
    await delay(60);
    expect(asked).toEqual([]);
    nowMs += 60;
    expect((await waiting)?.secret).toBe('access-1');
  });

  test('refused by its upstream is renewed, but not again at once', async () => {
    await givenToken({ expiresAt: null });
    const credentials = server();
    const first = (await credentials.find(session.id, 'anthropic'))!;
    expect([first.secret, await first.refused()]).toEqual(['access-0', true]);
    const second = (await credentials.find(session.id, 'anthropic'))!;
    expect([second.secret, await second.refused()]).toEqual(['access-1', false]);
    expect(asked).toHaveLength(1);
  });

  test.each([
    [400, { error: 'invalid_grant', error_description: 'refresh-0 was used' }, 'forbidden'],
    [503, 'busy', 'unavailable'],
    [200, { access_token: 7 }, 'unavailable'],
  ])('an endpoint that answers %s with %j fails the call and lets go of the key', async (status, body, code) => {
    await givenToken();
    onAsk = () => ({ status, body });
    const failed = server().find(session.id, 'anthropic');
    await expect(failed).rejects.toMatchObject({ code });
    await expect(failed).rejects.not.toMatchObject({ message: expect.stringContaining('refresh-0') });
    expect(await store.read.modelKey('key_t')).toMatchObject({ renewingUntil: null });
  });
});
