import { randomInt } from 'node:crypto';
import fc, { type Arbitrary } from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createInstallation, type TestInstallation, type TestServer } from '../e2e/harness.ts';
import { runTurn, scriptedSession } from '../e2e/scripted.ts';
import { routesOf, type FuzzRequest, type Ids, type OpenApi } from './api-fuzz/requests.ts';

/**
 * As `api-fuzz.test.ts`, on a server in a process of its own with a real sandbox behind it: what reaches the runner, git, the
 * store's file and the provider. No answer is a failure of the server's own, none is late, and the server lives on.
 */

const seed = Number(process.env['BERTH_FUZZ_SEED'] ?? randomInt(2 ** 31 - 1));
const runs = Number(process.env['BERTH_FUZZ_RUNS'] ?? 25);
/** A slow machine tries fewer. */
const routeMs = Number(process.env['BERTH_FUZZ_ROUTE_MS'] ?? 200);
const answerMs = 30_000;

let installation: TestInstallation;
let server: TestServer;
/** Of one route's requests: it may end the token that it is asked with. */
let token: string;

beforeAll(async () => {
  console.log(`api fuzz on a server: BERTH_FUZZ_SEED=${seed}`);
  installation = await createInstallation({ BERTH_SLOTS: '2' });
  server = await installation.start();
});
afterAll(() => installation.remove());

/** Nothing that is asked for leaves this machine: names of other hosts end on a closed port of this one. */
const nowhere = fc.constantFrom<unknown>('http://127.0.0.1:1/', 'https://127.0.0.1:1/x.git', '127.0.0.1:1/image:tag', 'x', '', null, 7);
const overrides: Record<string, Arbitrary<unknown>> = {
  ...Object.fromEntries(['url', 'baseUrl', 'repository', 'reference', 'image', 'from', 'source', 'target', 'to', 'host', 'callbackUrl'].map((name) => [name, nowhere])),
  ...Object.fromEntries(['waitSeconds', 'timeoutMs', 'timeoutSeconds'].map((name) => [name, fc.constantFrom<unknown>(0, 0.01, 1, '', 'x', -1)])),
  // Programs that end.
  argv: fc.constantFrom<unknown>(['true'], ['false'], ['/no/such'], [], [''], ['echo', '\u0000'], 'true', null),
  command: fc.constantFrom<unknown>('true', ['true'], '', null),
};

/** A session whose sandbox runs; what was sent to the last route may have ended it. */
async function livingIds(current: Ids | null): Promise<Ids> {
  const { client } = server;
  if (current !== null) {
    const session = await client.sessions.get(current['id']![0]!).catch(() => null);
    if (session !== null && session.status === 'idle' && session.agent === 'scripted') return current;
  }
  for (const { id } of await client.sessions.list({})) await client.sessions.delete(id);
  const { id } = await scriptedSession(client);
  const { turn } = await runTurn(client, id, 'say ready');
  return { id: [id], turnId: [turn.id], '*': ['x', '1', id] };
}

async function send({ method, path, headers, body }: FuzzRequest): Promise<{ status: number; code: string | null }> {
  const { 'content-length': _, ...sent } = headers;
  const gone = AbortSignal.timeout(answerMs);
  const request = { method, headers: { ...sent, authorization: `Bearer ${token}` }, signal: gone, ...(body === null ? {} : { body }) };
  const response = await fetch(`${server.url}${path}`, request).catch((error: Error) => {
    if (gone.aborted) throw new Error(`no answer within ${answerMs} ms`, { cause: error });
    throw error;
  });
  if (response.status < 400) {
    // A stream goes on for as long as somebody reads it.
    await response.body?.cancel().catch(() => {});
    return { status: response.status, code: null };
  }
  const text = await response.text();
  // Node refuses heads that are too long before Berth sees them.
  if (response.status === 431) return { status: 431, code: 'head' };
  const parsed = JSON.parse(text) as { error: { code: string } };
  return { status: response.status, code: parsed.error.code };
}

test('a server with a sandbox answers every route, whatever it is sent', async () => {
  const document = (await (await fetch(`${server.url}/api/openapi.json`)).json()) as OpenApi;
  const routes = routesOf(document, overrides);
  expect(routes.length).toBeGreaterThan(60);
  const { pid } = server;
  const failures: string[] = [];
  const reached = new Set<string>();
  let ids: Ids | null = null;
  for (const { name, requests } of routes) {
    ids = await livingIds(ids);
    token = (await server.client.tokens.add({ name: 'fuzz', scopes: ['admin'] })).secret;
    const result = await fc.check(
      fc.asyncProperty(requests(ids), async (request) => {
        const { status, code } = await send(request);
        if (status < 300) reached.add(name);
        if (status >= 500) throw new Error(`${status} ${code}`);
        if (status >= 400 && (code === null || code === '')) throw new Error(`${status} without a code`);
      }),
      { seed, numRuns: runs, interruptAfterTimeLimit: routeMs, markInterruptAsFailure: false, endOnFailure: true },
    );
    // Without one it was only interrupted early.
    if (result.counterexample !== null) {
      failures.push(`${name}: ${String(result.errorInstance)} for ${JSON.stringify(result.counterexample[0]).slice(0, 600)}`);
    }
  }
  expect(failures, `BERTH_FUZZ_SEED=${seed}`).toEqual([]);
  expect(reached.size).toBeGreaterThan(routes.length / 3);
  // It is the same process, and it still does its work.
  expect(() => process.kill(pid, 0)).not.toThrow();
  ids = await livingIds(ids);
  expect(await runTurn(server.client, ids['id']![0]!, 'say alive')).toMatchObject({ turn: { state: 'completed' }, text: 'alive' });
});
