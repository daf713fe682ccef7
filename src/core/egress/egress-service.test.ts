import { afterEach, beforeEach, expect, test } from 'vitest';
import { sessionRecord } from '../../../test/conformance/store-records.ts';
import { parseEgressPolicy } from '../../protocol/egress.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../ports/store.ts';
import { createVirtualClock } from '../testing/virtual-clock.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { EgressSettings } from './network-mode.ts';
import { createEgressService, type EgressService } from './egress-service.ts';

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const site = { host: 'site.test', port: 443 };
const no = { allowed: false, reason: 'no' };

let settings: EgressSettings;
let applied: string[];
let hasFull: boolean;
let store: Store;
let egress: EgressService;
let id: string;

beforeEach(async () => {
  settings = { defaultPolicy: parseEgressPolicy('packages'), allowFullNetwork: false };
  applied = [];
  hasFull = true;
  const networks = {
    requireFull() {
      if (!hasFull) throw new BerthError('unsupported', 'no network', { field: 'policy' });
    },
    apply: async (sessionId: string) => void applied.push(sessionId),
  };
  store = await createSqliteStore({ path: ':memory:' });
  egress = createEgressService({ store, clock: createVirtualClock(), logger: silent, settings, networks });
  const session = sessionRecord();
  id = session.id;
  await store.transaction((tx) => tx.insertSession(session));
});

afterEach(async () => {
  await egress.close();
  await store.close();
});

const events = async () => (await store.read.events(id, 0, 100)).map(({ type, data }) => ({ type, data }));

test('a rule that a person adds holds at once, and the log says who', async () => {
  expect(await egress.judge(id, site)).toMatchObject({ allowed: false });
  const view = await egress.allow(id, 'site.test', 'ada');
  expect(view).toMatchObject({ isDefault: false, policy: { presets: ['packages'], allow: ['site.test'] } });
  expect(await egress.judge(id, site)).toEqual({ allowed: true, reason: 'rule site.test' });
  await egress.allow(id, 'site.test', 'ada');
  expect(await events()).toEqual([{ type: 'egress.changed', data: { by: 'ada', presets: ['packages'], allow: ['site.test'] } }]);
  expect(await egress.set(id, null, 'ada')).toMatchObject({ isDefault: true });
  expect(await egress.judge(id, site)).toMatchObject({ allowed: false });
});

test('a full network is refused until the operator allows it, and then given and taken with the policy', async () => {
  const full = parseEgressPolicy('full');
  await expect(egress.set(id, full, 'ada')).rejects.toMatchObject({ code: 'forbidden', field: 'policy', message: expect.stringContaining('BERTH_ALLOW_FULL_NETWORK') });
  expect(await egress.hasFullNetwork(id)).toBe(false);
  settings.allowFullNetwork = true;
  hasFull = false;
  await expect(egress.set(id, full, 'ada')).rejects.toMatchObject({ code: 'unsupported', field: 'policy' });
  expect([await egress.hasFullNetwork(id), applied]).toEqual([false, []]);
  hasFull = true;
  await egress.set(id, full, 'ada');
  expect([await egress.hasFullNetwork(id), applied]).toEqual([true, [id]]);
  expect(await egress.judge(id, { host: 'any.test', port: 5432 })).toEqual({ allowed: true, reason: 'preset full' });
  // The operator's word counts, whatever the policy says.
  settings.allowFullNetwork = false;
  expect(await egress.hasFullNetwork(id)).toBe(false);
  settings.allowFullNetwork = true;
  await egress.set(id, null, 'ada');
  expect([await egress.hasFullNetwork(id), applied]).toEqual([false, [id, id]]);
  expect(await egress.hasFullNetwork('ses_none')).toBe(false);
});

test('an unknown session reaches nothing', async () => {
  expect(await egress.judge('ses_none', { host: 'registry.npmjs.org', port: 443 })).toMatchObject({ allowed: false });
  await expect(egress.view('ses_none')).rejects.toMatchObject({ code: 'not_found' });
});

test('decisions are counted, and a refusal is told once', async () => {
  for (let n = 0; n < 5; n += 1) egress.record(id, site, no);
  await egress.view(id);
  egress.record(id, site, no);
  egress.record(id, site, { allowed: true, reason: 'rule' });
  const { decisions } = await egress.view(id);
  expect(decisions.map(({ host, allowed, count }) => ({ host, allowed, count }))).toEqual(
    expect.arrayContaining([
      { host: 'site.test', allowed: false, count: 6 },
      { host: 'site.test', allowed: true, count: 1 },
    ]),
  );
  expect(await events()).toEqual([{ type: 'egress.denied', data: { ...site, reason: 'no' } }]);
});

test('a scan fills neither the database nor the log', async () => {
  for (let n = 0; n < 700; n += 1) egress.record(id, { host: `h${n}.test`, port: 443 }, no);
  await egress.view(id);
  expect(await store.read.egressDecisions(id, 10_000)).toHaveLength(300);
  expect(await events()).toHaveLength(50);
  // What it then reaches is told all the same.
  egress.record(id, { host: 'reached.test', port: 443 }, { allowed: true, reason: 'open' });
  await egress.view(id);
  const audit = await store.read.audit({ sessionId: id, action: 'egress.*', order: 'newest', limit: 1000 });
  expect(audit[0]).toMatchObject({ action: 'egress.allowed', target: 'reached.test:443', detail: { reason: 'open', count: 1 } });
  // 300 hosts, and 1, 10 and 100 of those for which there was no room.
  expect(audit).toHaveLength(304);
});

test('the audit log has a decision when it is first seen and at each power of ten', async () => {
  for (let round = 0; round < 4; round += 1) {
    for (let n = 0; n < 300; n += 1) egress.record(id, site, no);
    await egress.view(id);
  }
  const audit = await store.read.audit({ sessionId: id, order: 'oldest', limit: 1000 });
  expect(audit.map(({ actor, action, target, detail }) => ({ actor, action, target, ...detail }))).toEqual(
    [300, 1200].map((count) => ({ actor: `session:${id}`, action: 'egress.denied', target: 'site.test:443', reason: 'no', count })),
  );
});

test('what is recorded for a session that is gone is dropped', async () => {
  egress.record(id, site, no);
  await store.transaction((tx) => tx.deleteSession(id));
  await egress.close();
  expect(await store.read.egressDecisions(id, 10)).toEqual([]);
});

test('all that was decided is listed, and what was refused and would now be allowed is told', async () => {
  egress.record(id, site, no);
  egress.record(id, { host: 'other.test', port: 443 }, no);
  await egress.allow(id, 'site.test', 'ada');
  const list = await egress.list({ limit: 10 });
  expect(list.map(({ sessionId, host, allowedSince }) => ({ sessionId, host, allowedSince }))).toEqual(
    expect.arrayContaining([
      { sessionId: id, host: 'site.test', allowedSince: true },
      { sessionId: id, host: 'other.test', allowedSince: false },
    ]),
  );
  expect(await egress.list({ limit: 10, host: 'other' })).toHaveLength(1);
});
