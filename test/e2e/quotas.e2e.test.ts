import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenToken } from '../../src/core/testing/accounts.ts';
import { createBerthClient, type BerthClient } from '../../src/sdk/index.ts';
import { createSqliteStore } from '../../src/store/sqlite.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';

/** What one user may have and how often one may call, on a server that is set up by its environment alone. */
const gibibyte = 1024 ** 3;
let installation: TestInstallation;
let server: TestServer;
let ada: BerthClient;
let token: string;

beforeAll(async () => {
  installation = await createInstallation({
    BERTH_SLOTS: '2',
    BERTH_SANDBOX_DISK_GIB: '1',
    BERTH_QUOTA_USER: 'slots=1,sessions=3,disk=2g,priority=normal',
    BERTH_RATE_LIMITS: 'sessions=6,signin=600',
  });
  const store = await createSqliteStore({ path: join(installation.dataDir, 'berth.db') });
  token = await givenToken(store, 'ada');
  await store.close();
  server = await installation.start();
  ada = createBerthClient({ baseUrl: server.url, token });
});

afterAll(() => installation?.remove());

test('slots make turns wait and say why, sessions and disk are refused, and so is who calls too often', async () => {
  const create = (more: object = {}) => ada.sessions.create({ agent: 'shell', permissions: 'allow', ...more });
  const [one, two] = [await create(), await create()];
  // One slot of the server is free all the time; hers is not.
  const first = await ada.sessions.prompt(one.id, 'while [ ! -e ../go ]; do sleep 0.1; done');
  await expect.poll(async () => (await ada.sessions.turn(one.id, first.turnId)).state, { timeout: 60_000 }).toBe('running');
  const second = await ada.sessions.prompt(two.id, 'true');
  const { queued, running, slots } = await server.client.queue();
  expect({ running, slots }).toEqual({ running: 1, slots: 2 });
  expect(queued).toMatchObject([{ turnId: second.turnId, quota: { kind: 'user', name: 'ada', slots: 1 } }]);
  expect(await ada.quotas.own()).toMatchObject({ used: { slots: 1, sessions: 2, diskBytes: 2 * gibibyte } });

  const refusal = (quota: string, limit: number, used: number) => ({ code: 'quota_exceeded', context: { quota, limit, used, subject: { kind: 'user', name: 'ada' } } });
  await expect(create()).rejects.toMatchObject(refusal('diskBytes', 2 * gibibyte, 2 * gibibyte));
  await expect(create({ limits: { diskBytes: gibibyte / 2 } })).rejects.toMatchObject({ code: 'quota_exceeded', field: 'limits.diskBytes' });
  await expect(ada.sessions.prompt(two.id, { prompt: 'true', priority: 'premium' })).rejects.toMatchObject({ code: 'quota_exceeded' });
  const subject = { kind: 'user', name: 'ada' } as const;
  await server.client.quotas.set(subject, { slots: 1, sessions: 2 });
  await expect(create()).rejects.toMatchObject(refusal('sessions', 2, 2));

  // More of her slots, and what waited starts beside the first.
  await server.client.quotas.set(subject, { slots: 2, sessions: 2 });
  expect(await ada.sessions.waitForTurn(two.id, second.turnId)).toMatchObject({ state: 'completed' });
  expect(await ada.sessions.turn(one.id, first.turnId)).toMatchObject({ state: 'running' });
  await ada.sessions.exec(one.id, { argv: ['touch', '../go'] });
  expect(await ada.sessions.waitForTurn(one.id, first.turnId)).toMatchObject({ state: 'completed' });

  // Six in a minute: of so many at once some are too many, whenever the minute ends. The owner's own are counted apart.
  const ask = () => fetch(`${server.url}/api/sessions`, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify({ agent: 'shell' }) });
  const answers = await Promise.all(Array.from({ length: 14 }, ask));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([403, 429]));
  const limited = answers.find(({ status }) => status === 429)!;
  expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(Number(limited.headers.get('retry-after'))).toBeLessThanOrEqual(60);
  expect(await limited.json()).toMatchObject({ error: { code: 'rate_limited', context: { limit: 'sessions' } } });
  const owners = await server.client.sessions.create({ agent: 'shell' });
  expect(owners.status).toBe('idle');
});
