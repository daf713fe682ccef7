import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BerthClient } from '../../src/sdk/index.ts';
import { createForge, type Forge } from '../fixtures/forge/index.ts';
import { createInstallation, type TestInstallation } from './harness.ts';
import { allEvents } from './scripted.ts';

let forge: Forge;
let installation: TestInstallation;
let client: BerthClient;

beforeAll(async () => {
  forge = await createForge();
  installation = await createInstallation({
    BERTH_SLOTS: '1',
    BERTH_GITHUB_API_URL: forge.apiUrl,
    BERTH_GITHUB_URL: forge.url,
    BERTH_GITHUB_PACING: 'off',
    BERTH_PREVIEW_PORT: '0',
    BERTH_PREVIEW_DOMAIN: 'localhost',
  });
  const server = await installation.start();
  ({ client } = server);
  const connected = await fetch(`${server.url}/api/github/app`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      appId: forge.app.id,
      privateKey: forge.app.privateKey,
      webhookSecret: forge.webhookSecret,
      apiUrl: forge.apiUrl,
    }),
  });
  expect(connected.ok).toBe(true);
});

afterAll(async () => {
  await installation?.remove();
  await forge?.close();
});

test("git in a sandbox fetches a private repository and advances the session's own branch, and nothing else", async () => {
  const session = await client.sessions.create({ agent: 'shell', repository: forge.gitUrl('acme', 'widgets') });
  const own = session.branch!;
  const run = async (script: string) => {
    const { exitCode, stdout, stderr } = await client.sessions.exec(session.id, { argv: ['/bin/sh', '-c', `cd "$HOME/widgets" && ${script}`] });
    return { exitCode, out: Buffer.from(stdout).toString(), err: Buffer.from(stderr).toString() };
  };
  const onForge = async (ref: string) => (await forge.git('acme/widgets', 'for-each-ref', '--format=%(objectname)', ref)).trim();

  expect(await run('git rev-parse HEAD')).toMatchObject({ exitCode: 0 });
  const meanwhile = await forge.commit('acme/widgets', { message: 'Meanwhile', files: { 'meanwhile.txt': 'x\n' } });
  expect(await run('git pull -q && git rev-parse origin/main')).toEqual({ exitCode: 0, out: `${meanwhile}\n`, err: '' });
  const pushed = await run('echo x > new.txt && git add -A && git commit -qm New && git push && git rev-parse HEAD');
  expect(pushed).toMatchObject({ exitCode: 0, out: `${await onForge(`refs/heads/${own}`)}\n` });
  expect((await allEvents(client, session.id)).filter((event) => event.type === 'git.pushed')).toHaveLength(1);

  const main = await onForge('refs/heads/main');
  for (const [words, args] of [
    [`may push to ${own} only`, 'origin HEAD:main'],
    ['may not delete its branch', `origin --delete ${own}`],
    ['has commits on the remote', `--force origin HEAD~1:refs/heads/${own}`],
    ['not the repository of this session', `http://127.0.0.1:8079/git/${new URL(forge.url).host}/jane/notes.git HEAD:${own}`],
  ] as const) {
    const { exitCode, err } = await run(`git push ${args}`);
    expect(err).toContain(words);
    expect(exitCode).not.toBe(0);
  }
  expect(await onForge('refs/heads/main')).toBe(main);

  const tokens = forge.issuedTokens();
  expect(tokens.length).toBeGreaterThan(0);
  for (const token of tokens) {
    const encoded = Buffer.from(`x-access-token:${token}`).toString('base64');
    const search = `grep -rlF -e ${token} -e ${encoded} "$HOME" /tmp /etc /run /var 2>/dev/null; cat /proc/[0-9]*/environ 2>/dev/null | grep -c -F -e ${token} -e ${encoded}`;
    expect((await run(search)).out.trim()).toBe('0');
  }
});

test('a preview shows what listens in the sandbox, and only to who followed its link', async () => {
  const [session] = await client.sessions.list({});
  const node = '/berth/runner/bin/node';
  const serve = "require('http').createServer((q, r) => r.end('inside ' + q.url + ' ' + (q.headers.cookie ?? 'no cookie'))).listen(3000, '127.0.0.1', () => console.log('up'))";
  await client.sessions.exec(session!.id, { argv: ['/bin/sh', '-c', `setsid ${node} -e "$0" > /tmp/up 2>&1 & until grep -q up /tmp/up; do sleep 0.05; done`, serve] });
  const link = new URL((await client.sessions.preview(session!.id, 3000)).url);
  const open = async (path: string, cookie?: string) => {
    const outgoing = request({ host: '127.0.0.1', port: link.port, path, headers: { host: link.host, ...(cookie === undefined ? {} : { cookie }) } }).end();
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    return { status: response.statusCode, cookie: response.headers['set-cookie']?.[0]?.split(';')[0], body: await text(response) };
  };
  expect((await open('/')).status).toBe(401);
  const { status, cookie } = await open(link.pathname + link.search);
  expect(status).toBe(302);
  await client.sessions.rest(session!.id, 'pause');
  expect(await open('/hello', cookie)).toMatchObject({ status: 200, body: 'inside /hello no cookie' });
  expect((await open(link.pathname + link.search)).status).toBe(401);
});
