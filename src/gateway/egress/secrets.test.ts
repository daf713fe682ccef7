import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Logger } from '../../core/ports/logger.ts';
import type { SecretHolder, SessionRecord, Store } from '../../core/ports/store.ts';
import { createSecretService, type SecretService } from '../../core/secrets/secret-service.ts';
import { systemClock } from '../../main/system-clock.ts';
import { setSecretRequest, type SetSecretInput } from '../../protocol/secrets-api.ts';
import { boxVault } from '../../store/secrets/box-vault.fixture.ts';
import { createSecretBox } from '../../store/secret-box.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createEgressProxy } from './egress-proxy.ts';
import { createPublicDial } from './public-dial.ts';

const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
const at = '2026-01-01T00:00:00.000Z';
const value = 'k-9f8e7d6c5b4a';
const alice: SecretHolder = { kind: 'user', name: 'alice' };
const crew: SecretHolder = { kind: 'team', name: 'crew' };

let directory: string;
let store: Store;
let secrets: SecretService;
let site: Server;
let proxy: Server;
let proxyPort: number;
let onSite: (request: IncomingMessage, response: ServerResponse) => void;
let reached: { host: string; port: number }[];
let allowed: boolean;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'berth-secrets-'));
  const [key, cert] = [join(directory, 'tls.key'), join(directory, 'tls.crt')];
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=api.test',
    '-addext', 'subjectAltName=DNS:api.test', '-keyout', key, '-out', cert,
  ], { stdio: 'ignore' });
  site = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => onSite(request, response)).listen(0, '127.0.0.1');
  await once(site, 'listening');
  store = await createSqliteStore({ path: join(directory, 'store.db') });
  await store.transaction(async (tx) => {
    await tx.insertUser({ handle: 'alice', displayName: 'Alice', role: 'member', disabledAt: null, createdAt: at });
    await tx.insertTeam({ name: 'crew', displayName: 'Crew', createdAt: at });
  });
  const session = { owner: 'alice', team: 'crew', deletingAt: null } as SessionRecord;
  const known = { ...store, read: { ...store.read, session: async (id: string) => (id === 'ses_1' ? session : null) } };
  secrets = createSecretService({ store: known, secrets: boxVault(await createSecretBox(join(directory, 'key'))), clock: systemClock, logger: quiet });
  const dial = createPublicDial({ allowLoopback: true, resolve: async () => [{ address: '127.0.0.1', family: 4 }] });
  const egress = createEgressProxy({
    control: {
      judge: async (_id, target) => {
        reached.push(target);
        return { allowed, reason: 'a test' };
      },
      record: () => {},
    },
    secrets,
    ca: readFileSync(cert, 'utf8'),
    dial: (host, _port, signal) => dial(host, (site.address() as AddressInfo).port, signal),
  });
  proxy = createServer((request, response) => void egress.forward(String(request.headers['x-session'] ?? 'ses_1'), request, response))
    .on('connect', (request, socket, head) => egress.connect('ses_1', request, socket, head))
    .listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  proxyPort = (proxy.address() as AddressInfo).port;
});

afterAll(async () => {
  proxy.closeAllConnections();
  proxy.close();
  site.closeAllConnections();
  site.close();
  await secrets.close();
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  reached = [];
  allowed = true;
  onSite = (request, response) => response.end(JSON.stringify(request.headers));
  for (const holder of [alice, crew]) for (const { name } of await secrets.list(holder)) await secrets.remove(holder, name, 'alice');
});

const set = (holder: SecretHolder, name: string, change: Partial<SetSecretInput> = {}) =>
  secrets.set(holder, name, setSecretRequest.parse({ hosts: ['api.test'], value, ...change }), 'alice');

async function get(url: string, headers: Record<string, string> = {}): Promise<{ status: number; headers: IncomingMessage['headers']; body: string }> {
  const outgoing = httpRequest({ host: '127.0.0.1', port: proxyPort, path: url, headers: { host: new URL(url).host, ...headers } }).end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
}

test('a plain request leaves by TLS with the secret in place of what the sandbox said', async () => {
  await set(alice, 'api');
  let seen: IncomingMessage['headers'] = {};
  onSite = (request, response) => {
    seen = request.headers;
    response.end('fine');
  };
  expect(await get('http://api.test/v1?x=1', { authorization: 'Bearer mine', 'accept-encoding': 'gzip' })).toMatchObject({ status: 200, body: 'fine' });
  expect(seen).toMatchObject({ authorization: `Bearer ${value}`, host: 'api.test', 'accept-encoding': 'identity' });
  expect(reached).toEqual([{ host: 'api.test', port: 443 }]);
});

test("what an upstream says of it does not come back", async () => {
  await set(alice, 'api', { template: 'Basic {base64}' });
  onSite = (request, response) => {
    response.writeHead(200, { 'x-echo': request.headers.authorization });
    response.write(`you said ${request.headers.authorization?.slice(0, 12)}`);
    response.end(`${request.headers.authorization?.slice(12)}, that is ${value}`);
  };
  const { headers, body } = await get('http://api.test/');
  expect(headers['x-echo']).toBe('Basic ********');
  expect(body).toBe('you said Basic ********, that is ********');
  onSite = (_request, response) => response.writeHead(200, { 'content-encoding': 'br' }).end('xx');
  expect(await get('http://api.test/')).toMatchObject({ status: 502, body: expect.stringContaining('compressed') });
});

test("a tunnel to the plain port gets it too, as Node's fetch asks", async () => {
  await set(alice, 'api');
  onSite = (request, response) => response.end(`${request.url} ${request.headers.authorization === `Bearer ${value}`}`);
  const env = { PATH: process.env['PATH'], NODE_USE_ENV_PROXY: '1', HTTP_PROXY: `http://127.0.0.1:${proxyPort}` };
  const script = "fetch('http://api.test/deep?q').then(async (r) => console.log(r.status, await r.text()))";
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { env });
  expect(stdout.trim()).toBe('200 /deep?q true');
});

test('hosts, ports, sessions and policies that it is not for', async () => {
  await set(alice, 'api');
  // Nothing that speaks plain HTTP is there, and no secret goes out unencrypted.
  expect((await get('http://other.test/')).status).toBe(502);
  expect((await get('http://api.test:8080/')).status).toBe(502);
  expect((await get('http://api.test/', { 'x-session': 'ses_2' })).status).toBe(502);
  expect(reached.map(({ port }) => port)).toEqual([80, 8080, 80]);
  allowed = false;
  expect(await get('http://api.test/')).toMatchObject({ status: 403, body: expect.stringContaining('berth egress allow ses_1 api.test') });
});

test('a certificate of another name gets nothing', async () => {
  await set(alice, 'api', { hosts: ['wrong.test'] });
  onSite = () => expect.unreachable('it was asked');
  expect(await get('http://wrong.test/')).toMatchObject({ status: 502, body: expect.stringContaining('certificate') });
});

test("the owner's goes before the team's, and other headers beside it", async () => {
  await set(crew, 'api', { value: 'k-of-the-crew' });
  await set(crew, 'org', { header: 'X-Org', template: '{value}', value: 'org-12345678' });
  await set(alice, 'api');
  let seen: IncomingMessage['headers'] = {};
  onSite = (request, response) => {
    seen = request.headers;
    response.end();
  };
  await get('http://api.test/');
  expect(seen).toMatchObject({ authorization: `Bearer ${value}`, 'x-org': 'org-12345678' });
});

test('who set it and where it was used is told, and its value nowhere', async () => {
  await set(alice, 'told');
  await get('http://api.test/');
  await get('http://api.test/');
  await secrets.remove(alice, 'told', 'alice');
  await secrets.close();
  const audit = (await store.read.audit({ limit: 1000, order: 'oldest' })).filter(({ target }) => target === 'told');
  expect(audit.map(({ actor, action, detail }) => [actor, action, detail['host'] ?? detail['user']])).toEqual([
    ['user:alice', 'secret.set', 'alice'],
    ['session:ses_1', 'secret.used', 'api.test:443'],
    ['user:alice', 'secret.removed', 'alice'],
    ['session:ses_1', 'secret.used', 'api.test:443'],
  ]);
  await expect(secrets.remove(alice, 'told', 'alice')).rejects.toMatchObject({ code: 'not_found', field: 'name' });
  await store.transaction((tx) => tx.appendAudit([]));
  const files = ['store.db', 'store.db-wal'].map((name) => readFileSync(join(directory, name)).toString('latin1'));
  expect(files.join('')).toContain('api.test');
  expect(files.join('')).not.toContain(value);
});

test.each([
  ['value', { value: 'short' }],
  ['value', { value: 'with\r\nX-Evil: 1' }],
  ['header', { header: 'Host' }],
  ['header', { header: 'Proxy-Authorization' }],
  ['header', { header: 'X Y' }],
  ['template', { template: 'Bearer' }],
  ['template', { template: '{value} {value}' }],
  ['hosts', { hosts: [] }],
  ['hosts', { hosts: ['*.example.org'] }],
])('a bad %s is refused', (field, change) => {
  const result = setSecretRequest.safeParse({ hosts: ['api.test'], value, ...change });
  expect(result.success).toBe(false);
  expect(result.error?.issues[0]?.path[0]).toBe(field);
});
