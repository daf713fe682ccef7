import { RequestError } from 'octokit';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Issue } from '../../test/fixtures/forge/index.ts';
import type { RepositoryRecord, TaskTrigger } from '../core/ports/store.ts';
import { toBerthError } from './failure.ts';
import { createSite, signal, type Site } from './testing/site.ts';

/** The driver alone: each call may be repeated, and each failure has its code. */
let site: Site;
let repository: RepositoryRecord;
let notes: RepositoryRecord;
let issue: Issue;

beforeAll(async () => {
  site = await createSite();
  await site.register();
  const all = await site.store.read.repositories();
  repository = all.find(({ name }) => name === 'widgets')!;
  notes = all.find(({ name }) => name === 'notes')!;
});
afterAll(async () => {
  expect(site.forge.violations).toEqual([]);
  await site.close();
});
beforeEach(() => {
  const { state } = site.forge;
  issue = state.addIssue(state.repository('acme/widgets'), { title: 'T', body: null, author: state.account('maria') });
});

const driver = () => site.github.forge;
const trigger = (kind: TaskTrigger['kind'], id: number): TaskTrigger => ({
  kind,
  id,
  number: issue.number,
  login: 'maria',
  author: { name: 'maria', email: 'maria@example.com' },
  text: '',
  deliveryId: 'd',
});

test('reactions are given once, and missed without harm', async () => {
  const { state } = site.forge;
  const comment = state.addComment(issue, { body: 'x', author: state.account('maria') });
  for (let times = 0; times < 2; times += 1) {
    await driver().acknowledge(repository, trigger('issue', issue.id), signal);
    await driver().acknowledge(repository, trigger('issue_comment', comment.id), signal);
    await driver().acknowledge(repository, trigger('review', 1), signal);
  }
  expect([issue.reactions.length, comment.reactions.length]).toEqual([1, 1]);
  await driver().acknowledge(repository, trigger('issue_comment', 999_999), signal);
});

test('only our own comment with the marker is found, on any page', async () => {
  const { state, app } = site.forge;
  const say = (body: string, author = state.account('maria')) => state.addComment(issue, { body, author });
  for (let count = 0; count < 120; count += 1) say(`chatter ${count}`);
  say('<!-- marker --> forged');
  expect(await driver().findComment(repository, issue.number, '<!-- marker -->', signal)).toBeNull();
  const ours = state.addComment(issue, { body: '<!-- marker -->\nreal', author: app.bot, app });
  expect(await driver().findComment(repository, issue.number, '<!-- marker -->', signal)).toBe(ours.id);
  const read = await driver().readIssue(repository, issue.number, signal);
  expect(read).toMatchObject({ title: 'T', body: '', author: 'maria' });
  expect([read.comments.length, read.comments[0]?.body]).toEqual([121, 'chatter 0']);
});

test('a pull request is opened once, and a fork with the same branch is not ours', async () => {
  await site.forge.commit('acme/widgets', { branch: 'berth/x', message: 'x', files: { 'x.txt': 'x\n' } });
  const pull = { branch: 'berth/x', baseBranch: 'main', title: 'X', body: 'Fixes #1' };
  expect(await driver().findPull(repository, 'berth/x', signal)).toBeNull();
  const made = await driver().createPull(repository, pull, signal);
  expect(await driver().createPull(repository, pull, signal)).toEqual(made);
  expect(await driver().findPull(repository, 'berth/x', signal)).toEqual(made);
  site.forge.closeIssue(site.forge.state.issue('acme/widgets', made.number));
  expect(await driver().findPull(repository, 'berth/x', signal)).toBeNull();
  const nothing = { ...pull, branch: 'berth/absent' };
  await expect(driver().createPull(repository, nothing, signal)).rejects.toMatchObject({ code: 'invalid_request' });
});

test('the bot has the address by which GitHub shows its commits', async () => {
  const { bot } = site.forge.app;
  const identity = { name: 'berth-test[bot]', email: `${bot.id}+berth-test[bot]@users.noreply.127.0.0.1` };
  expect(await driver().botIdentity(repository, signal)).toEqual(identity);
});

test('each installation has its own tokens', async () => {
  const { state } = site.forge;
  const theirs = state.addIssue(state.repository('jane/notes'), { title: 'N', author: state.account('jane') });
  site.forge.requests.length = 0;
  await driver().createComment(repository, issue.number, 'a', signal);
  await driver().createComment(notes, theirs.number, 'b', signal);
  const by = site.forge.requests.filter(({ operation }) => operation === 'issues/create-comment').map((each) => each.by);
  expect(by).toEqual([`installation ${repository.installationId}`, `installation ${notes.installationId}`]);
});

describe('failures', () => {
  test.each([
    [404, 'not_found'],
    [403, 'rate_limited'],
    [429, 'rate_limited'],
    [422, 'invalid_request'],
    [410, 'not_found'],
    [451, 'forbidden'],
    [500, 'upstream_failed'],
    [503, 'upstream_failed'],
    ['reset', 'unavailable'],
  ] as const)('%s is %s', async (status, code) => {
    site.forge.failNext('issues/get', status);
    await expect(driver().readIssue(repository, issue.number, signal)).rejects.toMatchObject({ code });
    expect(site.forge.pendingFaults()).toBe(0);
    expect((await driver().readIssue(repository, issue.number, signal)).title).toBe('T');
  });

  // Through the driver this takes as long as the library believes that a fresh token is not known everywhere yet.
  test('401 is upstream_failed', () => {
    const request = { method: 'GET', url: 'https://api.github.com/app?x=1', headers: {} } as const;
    const response = { status: 401, url: request.url, headers: {}, data: {} };
    const error = toBerthError(new RequestError('no', 401, { request, response }), signal, new Date());
    expect(error).toMatchObject({ code: 'upstream_failed', context: { status: 401, called: 'GET /app' } });
  });

  test('a limit comes back at once, with the time to wait', async () => {
    site.forge.failNext('issues/create-comment', 429, 1, { retryAfterSeconds: 3_000 });
    const refused = driver().createComment(repository, issue.number, 'x', signal);
    await expect(refused).rejects.toMatchObject({ code: 'rate_limited', context: { retryAfterMs: 3_000_000 } });
  });

  test('a missing permission is forbidden', async () => {
    const installation = site.forge.state.installations.find(({ account }) => account.login === 'acme')!;
    const { permissions } = installation;
    installation.permissions = { metadata: 'read', contents: 'read' };
    site.forge.expireTokens();
    await expect(driver().createComment(repository, issue.number, 'x', signal)).rejects.toMatchObject({ code: 'forbidden' });
    installation.permissions = permissions;
    site.forge.expireTokens();
  });

  test('the signal ends a call, and nothing is written after it', async () => {
    const controller = new AbortController();
    controller.abort();
    await expect(driver().createComment(repository, issue.number, 'x', controller.signal)).rejects.toMatchObject({ code: 'cancelled' });
    expect(issue.comments).toEqual([]);
  });

  test('no error holds a credential', async () => {
    site.forge.failNext('issues/get', 500);
    const { inspect } = await import('node:util');
    const error: unknown = await driver().readIssue(repository, issue.number, signal).catch((thrown: unknown) => thrown);
    expect(inspect(error, { depth: 20 })).not.toMatch(/ghs_\w{10}|eyJ\w{20}/);
  });
});

describe('credentials for git', () => {
  const url = () => site.forge.gitUrl('acme', 'widgets');

  test('are good for one repository, and no more than asked', async () => {
    const read = (await site.github.credentialsFor(url(), signal, 'read'))!;
    const write = (await site.github.credentialsFor(url(), signal, 'write'))!;
    expect(read.username).toBe('x-access-token');
    expect(read.password).not.toBe(write.password);
    const asked = site.forge.requests
      .filter(({ operation }) => operation === 'apps/create-installation-access-token')
      .slice(-2)
      .map(({ body }) => body);
    expect(asked).toEqual(
      ['read', 'write'].map((contents) => ({ repositories: ['widgets'], permissions: { contents } })),
    );
    const status = async (password: string, service: string) => {
      const authorization = `Basic ${Buffer.from(`x-access-token:${password}`).toString('base64')}`;
      return (await fetch(`${url()}/info/refs?service=${service}`, { headers: { authorization } })).status;
    };
    expect(await status(read.password, 'git-upload-pack')).toBe(200);
    expect(await status(read.password, 'git-receive-pack')).toBe(403);
    expect(await status(write.password, 'git-receive-pack')).toBe(200);
    // Kept until shortly before its end.
    expect(await site.github.credentialsFor(url(), signal, 'read')).toEqual(read);
  });

  test.each([
    'https://github.com/acme/widgets.git',
    'https://evil.example/acme/widgets.git',
    'file:///acme/widgets.git',
    'not a url',
  ])('are not given to %s', async (other) => {
    expect(await site.github.credentialsFor(other, signal)).toBeNull();
  });

  test('are not given beyond the known repositories, however the address is dressed up', async () => {
    const { host } = new URL(site.forge.url);
    for (const path of ['acme/other.git', 'acme/widgets/../other', 'acme/widgets.git/x', 'acme%2Fwidgets', 'acme/widgets.git?x=1@evil']) {
      const given = await site.github.credentialsFor(`http://${host}/${path}`, signal);
      expect([path, given === null || path.includes('?')]).toEqual([path, true]);
    }
    expect(await site.github.credentialsFor(`http://x:y@${host}/acme/widgets.git`, signal)).toBeNull();
    expect(await site.github.credentialsFor(`http://${host}/ACME/Widgets`, signal, 'read')).not.toBeNull();
  });
});

test('accounts that are not listed may not use the server', async () => {
  const strict = await createSite({ accounts: ['Acme'] });
  await strict.register();
  expect((await strict.store.read.repositories()).map(({ owner }) => owner)).toEqual(['acme']);
  const { state, payloads } = strict.forge;
  const theirs = state.addIssue(state.repository('jane/notes'), { title: 'N', author: state.account('jane') });
  const delivery = await strict.deliver(payloads.issueLabeled(theirs, 'berth', state.account('jane')));
  expect(delivery).toMatchObject({ state: 'ignored', reason: expect.stringContaining('jane') });
  const installation = state.installations.find(({ account }) => account.login === 'jane')!;
  await strict.deliver(payloads.installationCreated(installation, state.account('jane')));
  expect(await strict.store.read.repositories()).toHaveLength(1);
  expect(strict.forge.violations).toEqual([]);
  await strict.close();
});
