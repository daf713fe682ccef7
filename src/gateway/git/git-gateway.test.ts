import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createForge, type Forge } from '../../../test/fixtures/forge/index.ts';
import { git as runGit, tryGit } from '../../../test/fixtures/forge/git.ts';
import { createSessionGit } from '../../core/git/session-git.ts';
import type { Logger } from '../../core/ports/logger.ts';
import type { SessionRecord, Store } from '../../core/ports/store.ts';
import { systemClock } from '../../main/system-clock.ts';
import { createGit } from '../../git/create-git.ts';
import { createGitGateway, type GitGateway } from './git-gateway.ts';
import { flushPkt, pktLine } from './pkt-line.ts';

const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
const branch = 'berth/ses_1';
const identity = { GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@b.c', GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@b.c' };

let forge: Forge;
let root: string;
let gateway: GitGateway;
let server: Server;
let remote: string;
let token: string;
let session: SessionRecord;
let allowed: boolean;
let told: { type: string; data: unknown }[];
let audited: { action: string; target: string | null }[];
let clone: string;
let serial = 0;

beforeAll(async () => {
  forge = await createForge();
  root = await mkdtemp(join(tmpdir(), 'berth-git-gateway-'));
  const installation = [...forge.state.installations.values()].find((each) => each.account.login === 'acme')!;
  ({ token } = forge.issueToken(installation));
  const credential = async () => ({ username: 'x-access-token', password: token });
  const store = {
    read: { session: async () => session },
    transaction: async (fn: (tx: unknown) => Promise<unknown>) =>
      fn({ session: async () => session, appendEvents: async (_id: string, events: typeof told) => void told.push(...events), appendAudit: async (entries: typeof audited) => void audited.push(...entries) }),
  } as unknown as Store;
  const control = createSessionGit({
    store,
    egress: { judge: async () => ({ allowed, reason: 'a test' }), record: () => {} },
    git: createGit({ dir: join(root, 'git'), env: { PATH: process.env['PATH'] }, allowLocal: false, credentials: credential, excludes: [], logger: quiet }),
    readCredential: credential,
    clock: systemClock,
    logger: quiet,
  });
  gateway = createGitGateway({ control, logger: quiet });
  server = createServer((request, response) => gateway.handle('ses_1', request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { host } = new URL(forge.gitUrl('acme', 'widgets'));
  remote = `http://127.0.0.1:${(server.address() as AddressInfo).port}/git/${host}`;
});

afterAll(async () => {
  gateway.close();
  server.close();
  server.closeAllConnections();
  await forge.close();
  await rm(root, { recursive: true, force: true });
});

beforeEach(async () => {
  allowed = true;
  told = [];
  audited = [];
  serial += 1;
  const baseCommit = (await forge.git('acme/widgets', 'rev-parse', 'main')).trim();
  session = { repositoryUrl: forge.gitUrl('acme', 'widgets'), branch: `${branch}-${serial}`, baseBranch: 'main', baseCommit, deletingAt: null } as SessionRecord;
  clone = join(root, `clone-${serial}`);
});

const widgets = () => `${remote}/acme/widgets.git`;
const inClone = (...args: string[]) => runGit(args, { cwd: clone, env: identity });
const push = (...args: string[]) => tryGit(['-c', 'protocol.version=2', 'push', 'origin', ...args], { cwd: clone });
const onForge = async (ref: string) => (await forge.git('acme/widgets', 'rev-parse', ref)).trim();

async function makeClone(...options: string[]): Promise<void> {
  await runGit(['-c', 'protocol.version=2', 'clone', '-q', ...options, widgets(), clone], {});
  await inClone('checkout', '-q', '-b', session.branch!);
}

async function makeCommit(name: string): Promise<string> {
  await writeFile(join(clone, name), `${name}\n`);
  await inClone('add', '-A');
  await inClone('commit', '-q', '-m', name);
  return (await inClone('rev-parse', 'HEAD')).trim();
}

test('a clone, a fetch, and an advance of the own branch', async () => {
  await makeClone();
  const first = await makeCommit('one.txt');
  expect(await push(session.branch!)).toMatchObject({ exitCode: 0 });
  expect(await onForge(session.branch!)).toBe(first);
  const second = await makeCommit('two.txt');
  expect(await push('HEAD')).toMatchObject({ exitCode: 0 });
  expect(await onForge(session.branch!)).toBe(second);
  expect(told).toEqual([first, second].map((sha) => expect.objectContaining({ type: 'git.pushed', data: { sha, branch: session.branch } })));
  const onMain = await forge.commit('acme/widgets', { message: 'Meanwhile', files: { 'meanwhile.txt': `${serial}\n` } });
  await inClone('fetch', '-q');
  expect((await inClone('rev-parse', 'origin/main')).trim()).toBe(onMain);
});

test('a shallow clone, and a push out of it', async () => {
  await makeClone('--depth=1');
  expect((await inClone('rev-list', '--count', 'HEAD')).trim()).toBe('1');
  const sha = await makeCommit('shallow.txt');
  expect(await push('HEAD')).toMatchObject({ exitCode: 0 });
  expect(await onForge(session.branch!)).toBe(sha);
});

test('what git is told when a push is refused, and nothing of it is on the forge', async () => {
  await makeClone();
  await makeCommit('one.txt');
  await push('HEAD');
  const before = await forge.git('acme/widgets', 'for-each-ref');
  const refused = async (words: string, ...args: string[]) => {
    const { exitCode, stderr } = await push(...args);
    expect(stderr).toContain(words);
    expect(exitCode).not.toBe(0);
  };
  const only = `may push to ${session.branch} only`;
  await refused(only, 'HEAD:main');
  await refused(only, 'HEAD:refs/tags/v9');
  await refused(only, `HEAD:${session.branch}x`);
  await refused('may not delete its branch', '--delete', session.branch!);
  await inClone('commit', '-q', '--amend', '-m', 'Another past');
  await refused('not support push options', '--force', '-o', 'ci.skip', 'HEAD');
  await refused('has commits on the remote', '--force', `HEAD:${session.branch}`);
  await makeCommit('three.txt');
  await refused('nothing is pushed', `HEAD~2:${session.branch}`, 'HEAD:main', '--force');
  expect(await forge.git('acme/widgets', 'for-each-ref')).toBe(before);
  const refusals = told.filter(({ type }) => type === 'git.refused');
  // Git itself gives up the one with push options.
  expect(refusals.map(({ data }) => data)).toMatchObject([
    { refs: ['refs/heads/main'], reason: expect.stringContaining(only), count: expect.any(Number) },
    { refs: ['refs/tags/v9'] },
    { refs: [`refs/heads/${session.branch}x`] },
    { refs: [`refs/heads/${session.branch}`], reason: expect.stringContaining('may not delete') },
    { refs: [`refs/heads/${session.branch}`], reason: expect.stringContaining('has commits on the remote') },
    { refs: expect.arrayContaining(['refs/heads/main']) },
  ]);
  expect(audited.filter(({ action }) => action === 'git.refused').map(({ target }) => target)).toHaveLength(refusals.length);
});

test('a hand-made push gets no further than git', async () => {
  const headers = { 'content-type': 'application/x-git-receive-pack-request' };
  const post = async (body: Buffer, more: Record<string, string> = {}) => {
    const response = await fetch(`${widgets()}/git-receive-pack`, { method: 'POST', headers: { ...headers, ...more }, body: new Uint8Array(body) });
    return `${response.status} ${await response.text()}`;
  };
  const head = await onForge('main');
  const zero = '0'.repeat(40);
  const own = `refs/heads/${session.branch}`;
  const commands = (...lines: string[]) => Buffer.concat([...lines.map((line) => pktLine(line)), flushPkt]);
  expect(await post(flushPkt)).toBe('200 ');
  expect(await post(commands(`${head} ${zero} ${own}\0report-status`))).toContain(`ng ${own} Berth: a session may not delete`);
  expect(await post(commands(`${zero} ${head} ${own}\0report-status push-options`))).toContain(`ng ${own} Berth: the push asks`);
  expect(await post(commands(`${zero} ${head} refs/heads/main\0report-status`))).toContain('ng refs/heads/main Berth: this session may push to');
  expect(await post(gzipSync(commands(`${zero} ${head} refs/heads/main\0report-status`)), { 'content-encoding': 'gzip' })).toContain('ng refs/heads/main');
  expect(await post(commands(`${zero} ${head} ${own}\0report-status`), { 'content-encoding': 'br' })).toContain('400 ');
  expect(await post(gzipSync('x').subarray(0, 12), { 'content-encoding': 'gzip' })).toContain('400 ');
  expect(await post(Buffer.from('not git'))).toContain("400 Berth: the request is not in git's line format");
  expect(await post(Buffer.concat(Array.from({ length: 100 }, (_, at) => pktLine(`${zero} ${head} refs/heads/x${at}\0r`))))).toContain('400 ');
  // Objects that are no pack, and a commit that is not among them.
  expect(await post(Buffer.concat([commands(`${zero} ${head} ${own}\0report-status`), Buffer.from('PACKrubbish')]))).toContain('not sound');
  expect(await post(commands(`${zero} ${head} ${own}\0report-status`), { 'content-type': 'text/plain' })).toContain('415 ');
  expect(told.filter(({ type }) => type === 'git.pushed')).toEqual([]);
  expect(await forge.git('acme/widgets', 'for-each-ref', own)).toBe('');
});

test('other repositories, other ways of asking, and what the policy forbids', async () => {
  const status = async (path: string, method = 'GET') => {
    const response = await fetch(`${remote}${path}`, { method, redirect: 'manual' });
    await response.body?.cancel();
    return response.status;
  };
  expect(await status('/jane/notes.git/info/refs?service=git-receive-pack')).toBe(403);
  expect(await status('/jane/notes.git/git-upload-pack', 'POST')).toBe(403);
  // To be looked for by the ordinary way out, without a credential.
  expect(await tryGit(['ls-remote', `${remote}/jane/notes.git`])).toMatchObject({ exitCode: 0 });
  expect(await tryGit(['ls-remote', `${remote}/acme/nothing.git`])).toMatchObject({ exitCode: 128 });
  expect(await status('/acme/widgets.git/HEAD')).toBe(403);
  expect(await status('/acme/widgets.git/info/refs')).toBe(403);
  session = { ...session, branch: 'main' };
  expect(await status('/acme/widgets.git/info/refs?service=git-receive-pack')).toBe(403);
  allowed = false;
  const denied = await tryGit(['ls-remote', widgets()]);
  expect(denied).toMatchObject({ exitCode: 128, stderr: expect.stringContaining('berth egress allow ses_1') });
  allowed = true;
  session = { ...session, repositoryUrl: null };
  expect(await status('/acme/widgets.git/info/refs?service=git-upload-pack')).toBe(403);
});

test('the credential is in nothing that comes back', async () => {
  const seen: string[] = [];
  for (const service of ['git-upload-pack', 'git-receive-pack']) {
    const answer = await new Promise<string>((resolve, reject) => {
      httpRequest(`${widgets()}/info/refs?service=${service}`, (response) => {
        let text = JSON.stringify(response.rawHeaders);
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve(text));
      })
        .on('error', reject)
        .end();
    });
    seen.push(answer);
  }
  expect(seen.join('')).toContain('refs/heads/main');
  expect(seen.join('')).not.toContain(token);
  expect(seen.join('')).not.toContain(Buffer.from(`x-access-token:${token}`).toString('base64'));
});
