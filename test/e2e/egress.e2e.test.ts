import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BerthClient } from '../../src/sdk/index.ts';
import { createInstallation, type TestInstallation } from './harness.ts';
import { allEvents } from './scripted.ts';

/** An address of this machine's loopback that `NO_PROXY` does not name. */
const address = '127.0.0.2';

let installation: TestInstallation;
let client: BerthClient;
let site: Server;
let directory: string;
let origin: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'berth-egress-'));
  const git = (...args: string[]) => execFileSync('git', args, { cwd: directory, stdio: 'pipe' });
  git('init', '-q', '--bare', 'repo.git');
  execFileSync('sh', ['-c', 'git -c user.name=A -c user.email=a@b.c commit-tree -m first $(git mktree </dev/null) | xargs git update-ref refs/heads/main && git update-server-info'], {
    cwd: join(directory, 'repo.git'),
  });
  const { readFile } = await import('node:fs/promises');
  site = createServer((request, response) => {
    if (request.url === '/hello') return void response.end('hello from outside');
    readFile(join(directory, new URL(request.url ?? '/', 'http://x').pathname)).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  site.listen(0, address);
  await once(site, 'listening');
  origin = `${address}:${(site.address() as AddressInfo).port}`;
  installation = await createInstallation({ BERTH_SLOTS: '1', BERTH_EGRESS_TO_LOOPBACK: 'true', BERTH_EGRESS: 'none' });
  ({ client } = await installation.start());
});

afterAll(async () => {
  await installation?.remove();
  site?.close();
  rmSync(directory, { recursive: true, force: true });
});

test('programs in a sandbox reach what a person allows, and nothing before', async () => {
  const session = await client.sessions.create({ agent: 'shell' });
  const run = async (...argv: string[]) => {
    const { exitCode, stdout, stderr } = await client.sessions.exec(session.id, { argv });
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { exitCode, out: decode(stdout), err: decode(stderr) };
  };
  const node = '/berth/runner/bin/node';
  const fetchSite = () => run(node, '-e', `fetch('http://${origin}/hello').then(async (r) => console.log(r.status, await r.text()))`);

  // As curl and npm ask: the whole address to the proxy.
  const plain = `require('node:http').get({ host: '127.0.0.1', port: 8079, path: 'http://${origin}/hello' }, (r) => r.pipe(process.stdout))`;

  expect(await fetchSite()).toMatchObject({ exitCode: 1, err: expect.stringContaining('403') });
  expect((await run(node, '-e', plain)).out).toContain(`berth egress allow ${session.id} ${origin}`);
  await client.egress.get(session.id);
  expect((await allEvents(client, session.id)).filter((event) => event.type === 'egress.denied')).toHaveLength(1);

  await client.egress.allow(session.id, origin);
  expect(await fetchSite()).toMatchObject({ exitCode: 0, out: '200 hello from outside\n' });
  expect((await run(node, '-e', plain)).out).toBe('hello from outside');
  expect(await run('git', 'ls-remote', `http://${origin}/repo.git`)).toMatchObject({ exitCode: 0, out: expect.stringContaining('refs/heads/main') });
  // A tunnel, as TLS takes one.
  const tunnel = `const http = require('node:http'); http.request({ host: '127.0.0.1', port: 8079, method: 'CONNECT', path: '${origin}' })
    .on('connect', (r, s) => { s.end('GET /hello HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n'); s.pipe(process.stdout); }).end()`;
  expect((await run(node, '-e', tunnel)).out).toContain('hello from outside');
  // Past the gateway there is nothing: no route, no name.
  const [host, port] = origin.split(':');
  const direct = await run(node, '-e', `require('node:net').connect(${port}, '${host}').on('error', (e) => console.log(e.code)).on('connect', () => console.log('connected'))`);
  expect(direct.out.trim()).not.toBe('connected');
  const { decisions } = await client.egress.get(session.id);
  expect(decisions.map(({ allowed }) => allowed).toSorted()).toEqual([false, true]);
});
