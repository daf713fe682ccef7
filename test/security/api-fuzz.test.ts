import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCore, type Core } from '../../src/core/create-core.ts';
import { createEgressService } from '../../src/core/egress/egress-service.ts';
import type { ForgeApp } from '../../src/core/ports/forge-app.ts';
import type { Forge } from '../../src/core/ports/forge.ts';
import type { Store } from '../../src/core/ports/store.ts';
import type { SecretService } from '../../src/core/secrets/secret-service.ts';
import type { KeyService } from '../../src/core/keys/key-service.ts';
import type { TemplateService } from '../../src/core/templates/template-service.ts';
import type { SignInService } from '../../src/core/users/sign-in/sign-in-service.ts';
import type { PullRequestService } from '../../src/core/pulls/pull-request-service.ts';
import type { TaskService } from '../../src/core/tasks/task-service.ts';
import { givenToken } from '../../src/core/testing/accounts.ts';
import { createWorld } from '../../src/core/testing/doubles.ts';
import { serverExtensions } from '../../src/main/extensions.ts';
import { BerthError, type ErrorBody } from '../../src/protocol/errors.ts';
import { createApp } from '../../src/server/app.ts';
import { createBrowserLogin } from '../../src/server/browser-login.ts';
import type { Router } from '../../src/server/context.ts';
import { createSqliteStore } from '../../src/store/sqlite.ts';
import { routesOf, type FuzzRequest, type Ids, type OpenApi, type Route } from './api-fuzz/requests.ts';

/**
 * Requests made from the server's own description of its routes, with values that fit and values that do not. Whatever
 * comes, the answer is in time, and a refusal with a code: never a failure of the server's own.
 */

const seed = Number(process.env['BERTH_FUZZ_SEED'] ?? randomInt(2 ** 31 - 1));
const runs = Number(process.env['BERTH_FUZZ_RUNS'] ?? 20);
const answerMs = 10_000;
/** A slow machine tries fewer. */
const routeMs = 1_000;

let store: Store;
let core: Core;
let app: Router;
let token: string;
let routes: Route[];

beforeAll(async () => {
  console.log(`api fuzz: BERTH_FUZZ_SEED=${seed}`);
  store = await createSqliteStore({ path: ':memory:' });
  const world = createWorld(store, { slots: 1000 });
  const connect = world.deps.connectRunner;
  // A sandbox whose runner says no to what the doubles do not play.
  world.deps.connectRunner = (sandbox) => refusing(connect(sandbox));
  world.deps.git = refusing(world.deps.git);
  core = createCore(world.deps);
  await core.start(AbortSignal.timeout(5_000));
  token = await givenToken(store, 'owner');
  const login = createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: async () => true });
  const browser = { login, publicUrl: () => null };
  app = createApp(
    {
      core,
      store,
      agents: world.deps.agents,
      installer: world.deps.installer,
      logger: world.deps.logger,
      providerName: 'memory',
      version: '0',
      report: async () => [],
      browser,
    },
    serverExtensions({
      store,
      agents: world.deps.agents,
      logger: world.deps.logger,
      forge: refusing({} as Forge),
      forgeApp: refusing({} as ForgeApp),
      tasks: refusing({} as TaskService),
      pulls: refusing({} as PullRequestService),
      secrets: refusing({} as SecretService),
      keys: refusing({} as KeyService),
      templates: refusing({} as TemplateService),
      signIn: refusing({} as SignInService),
      browser,
      egress: createEgressService({ ...world.deps, settings: world.deps.settings.egress, networks: core.networks }),
      webFiles: { page: '<p>', find: () => null },
      webhookSecret: 'whsec_x',
      isSecure: () => false,
    }),
  );
  const document = (await (await app.request('/api/openapi.json')).json()) as OpenApi;
  const overrides = { waitSeconds: fc.constantFrom(0, 0.01, '', 'x', -1) };
  routes = routesOf(document, overrides);
});
afterAll(async () => {
  await core.close();
  await store.close();
});

/** A session with a turn, for one route: what is sent there may end it. */
async function freshIds(): Promise<Ids> {
  const { id } = await core.sessions.create({ agent: 'any', permissions: 'ask' }, 'owner', AbortSignal.timeout(5_000));
  const { turn } = await core.sessions.prompt(id, { prompt: 'p' }, 'owner');
  return { id: [id], turnId: [turn.id], '*': ['x', '1', id] };
}

function refusing<T extends object>(target: T): T {
  return new Proxy(target, {
    get: (object, name) =>
      Reflect.get(object, name) ??
      (() => {
        const refusal = Promise.reject(new BerthError('unsupported', 'not here'));
        // Of a call that is not waited for.
        refusal.catch(() => {});
        return refusal;
      }),
  });
}

async function send({ method, path, headers, body }: FuzzRequest): Promise<{ status: number; code: string | null }> {
  const gone = new AbortController();
  const request = new Request(`http://localhost${path}`, {
    method,
    headers: { ...headers, authorization: `Bearer ${token}` },
    ...(body === null ? {} : { body }),
    signal: gone.signal,
  });
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${answerMs} ms`)), answerMs);
  try {
    const response = await Promise.race([app.request(request), late.promise]);
    if (response.status < 400) {
      // A stream goes on for as long as somebody reads it.
      void response.body?.cancel().catch(() => {});
      return { status: response.status, code: null };
    }
    const text = await Promise.race([response.text(), late.promise]);
    const { error } = JSON.parse(text) as ErrorBody;
    return { status: response.status, code: error.code };
  } finally {
    clearTimeout(timer);
    gone.abort();
  }
}

describe('every route of the OpenAPI document', () => {
  test('answers what is made from its schemas, and what is not, without failing', { timeout: 120_000 }, async () => {
    expect(routes.length).toBeGreaterThan(60);
    const failures: string[] = [];
    const answers = new Map<number, number>();
    const reached = new Set<string>();
    for (const { name, requests } of routes) {
      const ids = await freshIds();
      // A route may end the token that it is asked with.
      token = await givenToken(store, 'owner');
      const result = await fc.check(
        fc.asyncProperty(requests(ids), async (request) => {
          const { status, code } = await send(request);
          answers.set(status, (answers.get(status) ?? 0) + 1);
          if (status < 300) reached.add(name);
          if (status >= 500) throw new Error(`${status} ${code}`);
          if (status >= 400 && (code === null || code === '')) throw new Error(`${status} without a code`);
        }),
        { seed, numRuns: runs, interruptAfterTimeLimit: routeMs, markInterruptAsFailure: false },
      );
      if (result.failed) {
        failures.push(`${name}: ${String(result.errorInstance)} for ${JSON.stringify(result.counterexample?.[0]).slice(0, 600)}`);
      }
    }
    // It is not the first look at a request that turns all of them away.
    expect(reached.size, JSON.stringify([...answers])).toBeGreaterThan(routes.length / 3);
    expect(failures, `BERTH_FUZZ_SEED=${seed}`).toEqual([]);
  });
});
