import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deadLetterRecord, repositoryRecord, sessionRecord, taskRecord, turnRecord } from '../../../test/conformance/store-records.ts';
import { createCore, type Core } from '../../core/create-core.ts';
import { createEgressService } from '../../core/egress/egress-service.ts';
import type { KeyService } from '../../core/keys/key-service.ts';
import type { ForgeApp } from '../../core/ports/forge-app.ts';
import type { Forge } from '../../core/ports/forge.ts';
import type { SnapshotRecord, Store } from '../../core/ports/store.ts';
import { snapshotSourceOf } from '../../core/sessions/fork-session.ts';
import type { SecretService } from '../../core/secrets/secret-service.ts';
import type { TemplateService } from '../../core/templates/template-service.ts';
import type { PullRequestService } from '../../core/pulls/pull-request-service.ts';
import type { TaskService } from '../../core/tasks/task-service.ts';
import type { SignInService } from '../../core/users/sign-in/sign-in-service.ts';
import { givenToken } from '../../core/testing/accounts.ts';
import { createWorld } from '../../core/testing/doubles.ts';
import { hashToken } from '../../core/users/principal.ts';
import { serverExtensions } from '../../main/extensions.ts';
import { BerthError, type ErrorBody } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createApp } from '../app.ts';
import { createBrowserLogin, usedCodes } from '../browser-login.ts';
import type { AppDependencies, Router } from '../context.ts';
import { routeRules } from './route-rules.ts';

/** Every route of the real server, asked by everybody who must not get further, and by some who may. */

/** What a request that was let pass is answered here, in place of its handler. */
const passed = 299;
const at = '2026-11-29T00:00:00.000Z';

let store: Store;
let core: Core;
let app: Router;
const tokens = new Map<string, string>();
const params: Record<string, string> = { port: '80', pid: 'p', requestId: 'r', '*': 'x', team: 'crew', handle: 'max', kind: 'user', name: 'max' };

beforeAll(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  const { deps } = createWorld(store);
  core = createCore(deps);
  await givenThings();
  await givenPeople();
  app = createApp(dependencies(), extensions());
});
afterAll(async () => {
  await core.close();
  await store.close();
});

async function givenThings(): Promise<void> {
  const session = sessionRecord({ owner: 'ada', team: 'crew', status: 'idle' });
  const turn = turnRecord(session.id, { state: 'failed' });
  const repository = repositoryRecord();
  const task = taskRecord(repository.id, { sessionId: session.id });
  const snapshot: SnapshotRecord = {
    id: newId('snapshot'),
    owner: 'ada',
    name: 'mine',
    state: 'ready',
    memory: false,
    hostId: null,
    provider: 'memory',
    sessionId: session.id,
    sandboxId: 'sbx_x',
    source: snapshotSourceOf(session),
    sizeBytes: null,
    createdAt: at,
  };
  await store.transaction(async (tx) => {
    await tx.insertSession(session);
    await tx.insertTurn(turn);
    await tx.upsertDeadLetter(deadLetterRecord(turn));
    await tx.upsertRepository(repository);
    await tx.insertTask(task);
    await tx.insertSnapshot(snapshot);
    for (const name of ['crew', 'rivals']) await tx.insertTeam({ name, displayName: name, createdAt: at });
  });
  Object.assign(params, { session: session.id, turnId: turn.id, snapshot: snapshot.id, task: task.id, repository: repository.id });
}

async function givenPeople(): Promise<void> {
  const as = async (name: string, user: string, change: Parameters<typeof givenToken>[2] = {}) =>
    void tokens.set(name, await givenToken(store, user, { role: 'member', ...change }));
  await as('owner of the installation', 'root', { role: 'owner' });
  await as("owner's token to look with", 'root', { scopes: ['read'] });
  await as('owner of the session', 'ada');
  await as('her token to look with', 'ada', { scopes: ['read'] });
  await as('her token to answer with', 'ada', { scopes: ['answer'] });
  await as('her expired token', 'ada', { expiresAt: '2020-01-01T00:00:00.000Z' });
  await as('her revoked token', 'ada');
  await as('stranger', 'sam');
  await as('viewer by share', 'vera');
  await as('answerer by share', 'ann');
  await as('member of her team', 'tom');
  await as('member of another team', 'max');
  await as('viewer of the installation, with every share', 'ida', { role: 'viewer' });
  await as('disabled user', 'dan');
  params['token'] = (await store.read.tokenByHash(hashToken(tokens.get('owner of the session')!)))!.id;
  await store.transaction(async (tx) => {
    await tx.updateToken((await tx.tokenByHash(hashToken(tokens.get('her revoked token')!)))!.id, { revokedAt: at });
    await tx.updateUser('dan', { disabledAt: at });
    await tx.upsertTeamMember({ team: 'crew', member: 'tom', role: 'member' });
    await tx.upsertTeamMember({ team: 'rivals', member: 'max', role: 'owner' });
    const share = { sessionId: params['session']!, by: 'ada', createdAt: at };
    await tx.upsertSessionShare({ ...share, subject: { kind: 'user', name: 'vera' }, rights: ['view'] });
    await tx.upsertSessionShare({ ...share, subject: { kind: 'user', name: 'ann' }, rights: ['answer'] });
    await tx.upsertSessionShare({ ...share, subject: { kind: 'user', name: 'ida' }, rights: ['view', 'prompt', 'answer'] });
  });
}

function dependencies(): AppDependencies {
  const { deps } = createWorld(store);
  return {
    core,
    store,
    agents: deps.agents,
    installer: deps.installer,
    logger: deps.logger,
    providerName: 'memory',
    version: '0',
    report: async () => [],
    browser: { login: createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: usedCodes(store) }), publicUrl: () => null },
    // What another server serves is sent on right behind the policy: here nothing gets further.
    forwarding: {
      accept: (_c, next) => next(),
      forward: async (c) => c.body(null, passed as 200),
      call: async () => false,
    },
  };
}

function extensions() {
  const { deps } = createWorld(store);
  const silent = <T extends object>(): T =>
    new Proxy({} as T, { get: () => () => Promise.reject(new BerthError('unavailable', 'not here')) });
  return serverExtensions({
    store,
    agents: deps.agents,
    logger: deps.logger,
    forge: silent<Forge>(),
    forgeApp: silent<ForgeApp>(),
    tasks: silent<TaskService>(),
    pulls: silent<PullRequestService>(),
    egress: createEgressService({ ...deps, settings: deps.settings.egress, networks: { requireFull() {}, apply: async () => {} } }),
    secrets: silent<SecretService>(),
    keys: silent<KeyService>(),
    templates: silent<TemplateService>(),
    signIn: silent<SignInService>(),
    browser: dependencies().browser,
    webFiles: { page: '<p>', find: () => null },
    webhookSecret: 'whsec_x',
    isSecure: () => false,
  });
}

const middleware = ['ALL /*', 'ALL /api/*'];

function liveRoutes(): string[] {
  const all = app.routes.map(({ method, path }) => `${method} ${path}`);
  return [...new Set(all)].filter((route) => !middleware.includes(route)).toSorted();
}

/** A request that the route takes, about the things above. */
function requestOf(route: string): { method: string; path: string } {
  const [method = '', pattern = ''] = route.split(' ');
  const ids: [RegExp, string][] = [
    [/^\/api\/sessions\//, 'session'],
    [/^\/api\/tasks\//, 'task'],
    [/^\/api\/tokens\//, 'token'],
    [/^\/api\/repositories\//, 'repository'],
  ];
  const id = params[ids.find(([prefix]) => prefix.test(pattern))?.[1] ?? ''] ?? 'x';
  const path = pattern.replace(/:(\w+)/g, (_, name: string) => (name === 'id' ? id : (params[name] ?? 'x'))).replace('*', 'x');
  return { method: method === 'ALL' ? 'POST' : method, path };
}

async function ask(route: string, token: string | null, body: unknown = {}): Promise<string> {
  const { method, path } = requestOf(route);
  const response = await app.request(path, {
    method,
    headers: { 'content-type': 'application/json', ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
    ...(method === 'GET' ? {} : { body: JSON.stringify(body) }),
  });
  if (response.status === passed) return 'passed';
  const { error } = (await response.json()) as ErrorBody;
  return `${response.status} ${error.code}${error.code === 'forbidden' ? ` ${String(error.context?.['needs'])}` : ''}`;
}

const sessionNeeds = ['session:view', 'session:prompt', 'session:answer', 'session:copy', 'session:manage'];
const general = ['self:view', 'installation:read', 'sessions:create'];
/** What passes, of all that is needed anywhere; then what is told that there is nothing. All else is forbidden. */
const people: Record<string, { passes: readonly string[]; hidden?: RegExp }> = {
  'owner of the installation': { passes: ['self:manage', 'installation:inspect', 'installation:manage', ...general, ...sessionNeeds, 'snapshot:view', 'snapshot:copy', 'snapshot:manage', 'task:view', 'team:view', 'team:manage', 'token:manage'] },
  "owner's token to look with": { passes: ['self:view', 'installation:read', 'installation:inspect', 'session:view', 'snapshot:view', 'task:view', 'team:view'] },
  'owner of the session': { passes: ['self:manage', ...general, ...sessionNeeds, 'snapshot:view', 'snapshot:copy', 'snapshot:manage', 'task:view', 'token:manage'], hidden: /^team:/ },
  'her token to look with': { passes: ['self:view', 'installation:read', 'session:view', 'snapshot:view', 'task:view'], hidden: /^team:/ },
  'her token to answer with': { passes: ['self:view', 'installation:read', 'session:view', 'session:answer', 'snapshot:view', 'task:view'], hidden: /^team:/ },
  stranger: { passes: ['self:manage', ...general], hidden: /^(session|snapshot|task|team|token):/ },
  'member of another team': { passes: ['self:manage', ...general], hidden: /^(session|snapshot|task|team|token):/ },
  'viewer by share': { passes: ['self:manage', ...general, 'session:view', 'task:view'], hidden: /^(snapshot|team|token):/ },
  'answerer by share': { passes: ['self:manage', ...general, 'session:view', 'session:answer', 'task:view'], hidden: /^(snapshot|team|token):/ },
  'member of her team': { passes: ['self:manage', ...general, 'session:view', 'session:prompt', 'session:answer', 'session:copy', 'task:view', 'team:view'], hidden: /^(snapshot|token):/ },
  'viewer of the installation, with every share': { passes: ['self:manage', 'self:view', 'installation:read', 'session:view', 'task:view'], hidden: /^(snapshot|team|token):/ },
};

describe('every route', () => {
  test('has a rule, and every rule a route', async () => {
    expect(Object.keys(routeRules).toSorted()).toEqual(liveRoutes());
    // The document knows no route that the router does not have.
    const response = await createApp({ ...dependencies(), forwarding: undefined } as never, extensions()).request('/api/openapi.json');
    const { paths } = (await response.json()) as { paths: Record<string, Record<string, unknown>> };
    const documented = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
    );
    expect(documented.length).toBeGreaterThan(50);
    expect(documented.filter((route) => !(route in routeRules))).toEqual([]);
  });

  test('that has no rule is refused to everybody', async () => {
    const rogue = createApp({ ...dependencies(), forwarding: undefined } as never, {
      authenticated: [(router) => void router.get('/api/rogue', (c) => c.text('hello'))],
      public: [(router) => void router.get('/rogue', (c) => c.text('hello'))],
    });
    const headers = { authorization: `Bearer ${tokens.get('owner of the installation')}` };
    for (const path of ['/api/rogue', '/rogue']) {
      const answers = await Promise.all([rogue.request(path), rogue.request(path, { headers })]);
      expect(answers.map(({ status }) => status)).toEqual([403, 403]);
    }
  });

  test('wants a token that counts', async () => {
    for (const route of liveRoutes()) {
      if (routeRules[route]?.needs === 'public') continue;
      for (const name of [null, 'her expired token', 'her revoked token', 'disabled user']) {
        const token = name === null ? null : tokens.get(name)!;
        expect([route, name, await ask(route, token)]).toEqual([route, name, '401 unauthorized']);
      }
    }
  });

  test.each(Object.entries(people))('by the %s', async (name, { passes, hidden }) => {
    for (const route of liveRoutes()) {
      const needs = routeRules[route]?.needs ?? 'public';
      if (needs === 'public') continue;
      const refused = hidden?.test(needs) ? '404 not_found' : `403 forbidden ${needs}`;
      const expected = passes.includes(needs) ? 'passed' : refused;
      expect([route, await ask(route, tokens.get(name)!)]).toEqual([route, expected]);
    }
  });
});

describe('what the body says', () => {
  const to = (name: string, route: string, body: unknown) => ask(route, tokens.get(name)!, body);

  test('a prompt for a known session is one to that session', async () => {
    const body = { prompt: 'x', sessionId: params['session'] };
    const route = 'POST /api/session/prompt';
    expect(await to('stranger', route, body)).toBe('404 not_found');
    expect(await to('viewer by share', route, body)).toBe('403 forbidden session:prompt');
    expect(await to('member of her team', route, body)).toBe('passed');
    expect(await to('stranger', route, { prompt: 'x' })).toBe('passed');
  });

  test('an issue with a session is worked on by those who may prompt it', async () => {
    const body = { repositoryId: params['repository'], issueNumber: 7, text: 'x' };
    const route = 'POST /api/tasks';
    expect(await to('stranger', route, body)).toBe('404 not_found');
    expect(await to('viewer by share', route, body)).toBe('403 forbidden session:prompt');
    expect(await to('owner of the session', route, body)).toBe('passed');
    expect(await to('stranger', route, { ...body, issueNumber: 8 })).toBe('passed');
  });
});
