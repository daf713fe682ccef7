import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sign } from '../../test/fixtures/forge/auth.ts';
import type { JsonObject } from '../../test/fixtures/forge/json.ts';
import type { Issue, Pull, Role } from '../../test/fixtures/forge/index.ts';
import type { TaskRecord } from '../core/ports/store.ts';
import { createSite, signal, type Site } from './testing/site.ts';

/** Issue 2, point 7: who may start work, by what, and that nothing is done twice or lost. */
let site: Site;
let issue: Issue;

beforeAll(async () => {
  site = await createSite();
  await site.register();
});
afterAll(async () => {
  expect(site.forge.violations).toEqual([]);
  await site.close();
});
beforeEach(() => {
  site.requested.length = 0;
  issue = site.forge.state.addIssue(widgets(), { title: 'It breaks', body: 'Often.', author: account('maria') });
});

const widgets = () => site.forge.state.repository('acme/widgets');
const account = (login: string) => site.forge.state.account(login);

async function send(event: string, payload: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
  return site.app.request('/webhooks/github', {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-github-event': event,
      'x-github-delivery': crypto.randomUUID(),
      'x-hub-signature-256': sign(site.forge.webhookSecret, body),
      ...headers,
    },
  });
}

describe('the door', () => {
  test.each([
    ['no signature', { 'x-hub-signature-256': '' }],
    ['a wrong one', { 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` }],
    ['one by another secret', { 'x-hub-signature-256': sign('other', '{}') }],
    ['one of another kind', { 'x-hub-signature-256': `sha1=${'0'.repeat(40)}` }],
  ])('%s is refused with nothing stored', async (_name, headers) => {
    const id = crypto.randomUUID();
    const response = await send('issues', {}, { ...headers, 'x-github-delivery': id });
    expect([response.status, (await response.json()).error]).toMatchObject([401, { code: 'unauthorized', field: 'X-Hub-Signature-256' }]);
    expect(await site.store.read.delivery(id)).toBeNull();
  });

  test.each([
    ['not JSON', 'no', {}, 'body'],
    ['not an object', '[1]', {}, 'body'],
    ['not UTF-8', '"\ud800"', {}, 'body'],
    ['a bad id', {}, { 'x-github-delivery': '../x' }, 'X-GitHub-Delivery'],
    ['a bad event', {}, { 'x-github-event': 'Issues!' }, 'X-GitHub-Event'],
  ])('%s, though signed, names the field', async (_name, payload, headers, field) => {
    const response = await send('issues', payload, headers);
    expect([response.status, (await response.json()).error]).toMatchObject([400, { code: 'invalid_request', field }]);
  });

  test('25 MB are taken, more is refused', async () => {
    const over = await send('push', `{"a":"${'x'.repeat(25 * 1024 * 1024)}"}`);
    expect([over.status, (await over.json()).error.code]).toEqual([413, 'payload_too_large']);
    const under = await send('push', `{"a":"${'x'.repeat(20 * 1024 * 1024)}"}`);
    expect(under.status).toBe(202);
  });

  test('hostile payloads are ignored with a reason, never a failure', async () => {
    const hostile: unknown[] = [
      {},
      { action: 'opened' },
      { action: 'created', comment: null },
      { action: 'labeled', issue: { id: 'x' }, repository: [], sender: 1 },
      { action: '__proto__' },
      { action: 'constructor' },
      { action: { toString: 1 } },
      { action: 'opened', issue: { id: 1, number: -5 }, repository: { name: '../..', owner: { login: 'a b' } } },
    ];
    for (const event of ['issues', 'issue_comment', 'pull_request_review', 'installation', 'constructor', 'push']) {
      for (const payload of hostile) {
        const id = crypto.randomUUID();
        expect((await send(event, payload, { 'x-github-delivery': id })).status).toBe(202);
        await site.github.settle();
        expect(await site.store.read.delivery(id)).toMatchObject({ state: 'ignored', reason: expect.any(String) });
      }
    }
    expect(site.requested).toEqual([]);
  });

  test('the answer does not wait for the work', async () => {
    site.forge.failNext('repos/get-collaborator-permission-level', 503, 3);
    const delivery = await site.deliver(site.forge.payloads.issueLabeled(issue, 'berth', account('maria')));
    expect(site.forge.deliveries.at(-1)).toMatchObject({ status: 202 });
    expect(site.forge.deliveries.at(-1)!.durationMs).toBeLessThan(5_000);
    await expect.poll(async () => (await site.store.read.delivery(delivery.id))?.state).toBe('done');
    expect(site.requested).toHaveLength(1);
  });
});

describe('who may start work', () => {
  const roles: [login: string, role: Role | null, allowed: boolean][] = [
    ['mallory', null, false],
    ['rita', 'read', false],
    ['theo', 'triage', false],
    ['wendy', 'write', true],
    ['mark', 'maintain', true],
    ['maria', 'admin', true],
  ];
  const associations = ['OWNER', 'MEMBER', 'COLLABORATOR', 'CONTRIBUTOR', 'FIRST_TIMER', 'NONE'];

  beforeAll(() => {
    for (const [login, role] of roles) {
      site.forge.state.addAccount({ login });
      if (role !== null) {
        widgets().collaborators.set(login, role);
        site.forge.state.repository('jane/notes').collaborators.set(login, role);
      }
    }
  });

  test.each(roles)('%s, with the role %s: %s', async (login, _role, allowed) => {
    const sender = account(login);
    const comment = site.forge.state.addComment(issue, { body: 'please @berth-test do it', author: sender });
    const started: string[] = [];
    const tried: [string, ReturnType<Site['deliver']>][] = [];
    const attempt = async (name: string, webhook: Parameters<Site['deliver']>[0]) => {
      const before = site.requested.length;
      const pending = site.deliver(webhook);
      tried.push([name, pending]);
      await pending;
      if (site.requested.length > before) started.push(name);
    };
    // Labelling and assigning tell nothing of the sender's association; the issue is maria's throughout.
    await attempt('labeled', site.forge.payloads.issueLabeled(issue, 'berth', sender));
    await attempt('assigned', site.forge.payloads.issueAssigned(issue, site.forge.app.bot, sender));
    for (const association of associations) {
      const overrides = { comment: { author_association: association } };
      await attempt(`comment ${association}`, site.forge.payloads.issueCommentCreated(comment, overrides));
    }
    // An organisation's private members come as CONTRIBUTOR or NONE: there, the API alone decides.
    expect(started).toEqual(allowed ? tried.map(([name]) => name) : []);
    for (const { trigger } of site.requested) {
      expect(trigger).toMatchObject({ login, author: { email: `${sender.id}+${login}@users.noreply.127.0.0.1` } });
    }
  });

  test.each(associations)('where a person owns the repository, %s is taken at its word before the API is asked', async (association) => {
    const own = site.forge.state.addIssue(site.forge.state.repository('jane/notes'), { title: 'T', author: account('jane') });
    const comment = site.forge.state.addComment(own, { body: '@berth-test go', author: account('wendy') });
    const before = site.forge.requests.length;
    const delivery = await site.deliver(
      site.forge.payloads.issueCommentCreated(comment, { comment: { author_association: association } }),
    );
    const inside = ['OWNER', 'MEMBER', 'COLLABORATOR'].includes(association);
    expect([delivery.state, site.requested.length]).toEqual(inside ? ['done', 1] : ['ignored', 0]);
    const asked = site.forge.requests.slice(before).some(({ operation }) => operation === 'repos/get-collaborator-permission-level');
    expect(asked).toBe(inside);
  });

  test('an issue that its author labels by a template is theirs to be refused', async () => {
    const theirs = site.forge.state.addIssue(widgets(), { title: 'x', body: '@berth-test', author: account('mallory'), labels: ['berth'] });
    await site.deliver(site.forge.payloads.issueOpened(theirs));
    await site.deliver(site.forge.payloads.issueLabeled(theirs, 'berth', account('mallory')));
    expect(site.requested).toEqual([]);
    // Who may write may take it up, and what stands in it stays material.
    await site.deliver(site.forge.payloads.issueLabeled(theirs, 'berth', account('maria')));
    expect(site.requested).toMatchObject([{ trigger: { kind: 'issue', login: 'maria' } }]);
  });

  test('bots, ours and others, start nothing', async () => {
    const { payloads, state, app } = site.forge;
    const ours = state.addComment(issue, { body: '@berth-test again', author: app.bot, app });
    expect(await site.deliver(payloads.issueCommentCreated(ours))).toMatchObject({ state: 'ignored', reason: 'berth-test[bot] is no person' });
    const other = state.addAccount({ login: 'robot[bot]', type: 'Bot' });
    widgets().collaborators.set('robot[bot]', 'admin');
    await site.deliver(payloads.issueLabeled(issue, 'berth', other));
    const via = state.addComment(issue, { body: '@berth-test again', author: account('maria'), app });
    expect(await site.deliver(payloads.issueCommentCreated(via))).toMatchObject({ reason: 'written by this App' });
    expect(site.requested).toEqual([]);
  });

  test('a name that has changed hands is not let in', async () => {
    const overrides: JsonObject = { sender: { id: 999_999 } };
    const delivery = await site.deliver(site.forge.payloads.issueLabeled(issue, 'berth', account('maria'), overrides));
    expect(delivery).toMatchObject({ state: 'ignored', reason: 'maria is somebody else by now' });
  });
});

describe('what starts work', () => {
  test('an opened issue: by label, by mention, by assignment, and by nothing else', async () => {
    const { state, payloads, app } = site.forge;
    const author = account('maria');
    const open = (spec: { body?: string; labels?: string[]; assignees?: (typeof author)[] }) =>
      site.deliver(payloads.issueOpened(state.addIssue(widgets(), { title: 'T', author, ...spec })));
    expect(await open({ labels: ['Berth'] })).toMatchObject({ state: 'done' });
    expect(await open({ body: 'Hello @Berth-Test, look' })).toMatchObject({ state: 'done' });
    expect(await open({ assignees: [app.bot] })).toMatchObject({ state: 'done' });
    expect(await open({ body: '> @berth-test', labels: ['bug'], assignees: [author] })).toMatchObject({ state: 'ignored' });
    expect(site.requested.map(({ trigger }) => trigger.kind)).toEqual(['issue', 'issue', 'issue']);
  });

  test('settings decide, and null is never', async () => {
    const [repository] = (await (await site.call('GET', '/api/repositories')).json()).repositories;
    const change = (triggers: object) => site.call('PATCH', `/api/repositories/${repository.id}`, { triggers });
    expect(repository).toMatchObject({ name: 'widgets', triggers: { label: 'berth', mention: '@berth-test', assignee: true } });
    expect((await change({ label: 'agent', mention: null, assignee: false })).status).toBe(200);
    const { payloads, state, app } = site.forge;
    await site.deliver(payloads.issueLabeled(issue, 'berth', account('maria')));
    await site.deliver(payloads.issueAssigned(issue, app.bot, account('maria')));
    await site.deliver(payloads.issueCommentCreated(state.addComment(issue, { body: '@berth-test', author: account('maria') })));
    expect(site.requested).toEqual([]);
    await site.deliver(payloads.issueLabeled(issue, 'agent', account('maria')));
    expect(site.requested).toHaveLength(1);
    await change({ label: 'berth', mention: 'berth-test', assignee: true });
  });

  test('on a pull request that is not ours, nothing', async () => {
    const { payloads, state } = site.forge;
    const pull = await openPull('foreign');
    const comment = state.addComment(pull.issue, { body: '@berth-test go', author: account('maria') });
    const line = state.addReviewComment(pull, { author: account('maria'), body: '@berth-test', path: 'a.txt' });
    for (const webhook of [
      payloads.issueCommentCreated(comment),
      payloads.reviewCommentCreated(line),
      payloads.reviewSubmitted(line.review),
    ]) {
      expect(await site.deliver(webhook)).toMatchObject({ state: 'ignored', reason: 'no task belongs to this pull request' });
    }
  });
});

describe('a task goes on', () => {
  let pull: Pull;
  let number = 0;

  beforeEach(async () => {
    number += 1;
    pull = await openPull(`task-${number}`);
    const [repository] = await site.store.read.repositories();
    await site.store.transaction((tx) => tx.insertTask(taskOf(repository!.id, issue.number, pull.issue.number)));
  });

  test('by any comment of who may write, without a mention', async () => {
    const { payloads, state } = site.forge;
    await site.deliver(payloads.issueCommentCreated(state.addComment(issue, { body: 'And blue.', author: account('tom') })));
    await site.deliver(payloads.issueCommentCreated(state.addComment(pull.issue, { body: 'Or red.', author: account('tom') })));
    await site.deliver(payloads.issueCommentCreated(state.addComment(pull.issue, { body: 'Mine.', author: account('mallory') })));
    expect(site.requested.map(({ trigger }) => [trigger.kind, trigger.number, trigger.text])).toEqual([
      ['issue_comment', issue.number, 'And blue.'],
      ['issue_comment', pull.issue.number, 'Or red.'],
    ]);
  });

  test('by a comment on a line, with the line and what stands there', async () => {
    const { payloads, state } = site.forge;
    const comment = state.addReviewComment(pull, { author: account('maria'), body: 'Rename this', path: 'src/a.ts', line: 7 });
    await site.deliver(payloads.reviewCommentCreated(comment));
    expect(site.requested).toMatchObject([
      { trigger: { kind: 'review_comment', id: comment.id, number: pull.issue.number, text: expect.stringContaining('On src/a.ts:7:') } },
    ]);
    expect(site.requested[0]!.trigger.text).toMatch(/```diff\n@@ -0,0 \+1 @@\n\+\n```\n\nRename this$/);
  });

  test('by a review, all of whose events are one trigger', async () => {
    const { payloads, state } = site.forge;
    const review = state.addReview(pull, { author: account('maria'), body: 'Nearly.', state: 'CHANGES_REQUESTED' });
    const comments = ['One', 'Two'].map((body) =>
      state.addReviewComment(pull, { author: account('maria'), body, path: 'a.txt', review }),
    );
    await site.deliver(payloads.reviewCommentCreated(comments[1]!));
    await site.deliver(payloads.reviewSubmitted(review));
    await site.deliver(payloads.reviewCommentCreated(comments[0]!));
    expect(new Set(site.requested.map(({ trigger }) => `${trigger.kind} ${trigger.id}`))).toEqual(new Set([`review ${review.id}`]));
    expect(site.requested[0]!.trigger.text).toMatch(/^Nearly\.[^]*One[^]*Two$/);
    expect(new Set(site.requested.map(({ trigger }) => trigger.text)).size).toBe(1);
  });

  test('not by an approval, unless it has something to say on a line', async () => {
    const { payloads, state } = site.forge;
    const plain = state.addReview(pull, { author: account('maria'), body: 'LGTM', state: 'APPROVED' });
    expect(await site.deliver(payloads.reviewSubmitted(plain))).toMatchObject({ state: 'ignored' });
    const picky = state.addReview(pull, { author: account('maria'), state: 'APPROVED' });
    state.addReviewComment(pull, { author: account('maria'), body: 'A typo', path: 'a.txt', review: picky });
    expect(await site.deliver(payloads.reviewSubmitted(picky))).toMatchObject({ state: 'done' });
    const silent = state.addReview(pull, { author: account('maria') });
    expect(await site.deliver(payloads.reviewSubmitted(silent))).toMatchObject({ state: 'ignored' });
  });
});

describe('nothing twice, nothing lost', () => {
  test('a delivery that comes again is taken once', async () => {
    const webhook = site.forge.payloads.issueLabeled(issue, 'berth', account('maria'));
    const first = await site.deliver(webhook);
    const again = await site.deliver(webhook, { deliveryId: first.id });
    expect(again).toEqual(first);
    expect(JSON.parse(site.forge.deliveries.at(-1)!.body)).toEqual({ delivery: 'duplicate' });
    expect(site.requested).toHaveLength(1);
    // The text of a private repository is not kept longer than it is needed.
    expect(first).toMatchObject({ state: 'done', payload: null, attempts: 1 });
  });

  test('a lasting failure ends it, and "Redeliver" tries again', async () => {
    site.forge.failNext('repos/get-collaborator-permission-level', 451);
    const webhook = site.forge.payloads.issueLabeled(issue, 'berth', account('maria'));
    const failed = await site.deliver(webhook);
    expect(failed).toMatchObject({ state: 'failed', reason: expect.stringContaining('forbidden') });
    expect(await site.deliver(webhook, { deliveryId: failed.id })).toMatchObject({ state: 'done' });
  });

  test('a passing failure is tried again, for a while', async () => {
    site.forge.failNext('repos/get-collaborator-permission-level', 429, 2);
    const delivery = await site.deliver(site.forge.payloads.issueLabeled(issue, 'berth', account('maria')));
    await expect.poll(async () => (await site.store.read.delivery(delivery.id))?.state).toBe('done');
    site.forge.failNext('repos/get-collaborator-permission-level', 'reset', 8);
    const hopeless = await site.deliver(site.forge.payloads.issueLabeled(issue, 'berth', account('maria')));
    await expect.poll(async () => await site.store.read.delivery(hopeless.id)).toMatchObject({
      state: 'failed',
      attempts: 8,
      reason: expect.stringContaining('unavailable'),
    });
    expect(site.forge.pendingFaults()).toBe(0);
  });

  test('a token that GitHub ended early is replaced', async () => {
    site.forge.expireTokens();
    const delivery = await site.deliver(site.forge.payloads.issueLabeled(issue, 'berth', account('maria')));
    expect(delivery).toMatchObject({ state: 'done', attempts: 1 });
  });

  test('an App that was installed anew is found', async () => {
    const { state, app } = site.forge;
    const webhook = site.forge.payloads.issueLabeled(issue, 'berth', account('maria'));
    const old = state.installations.findIndex((each) => each.account.login === 'acme');
    state.installations.splice(old, 1);
    const fresh = site.forge.install(app, { account: 'acme' });
    // GitHub ends an installation's tokens with it.
    site.forge.expireTokens();
    expect(await site.deliver(webhook)).toMatchObject({ state: 'done' });
    expect(await site.store.read.repositoryByUrl(site.forge.gitUrl('acme', 'widgets'))).toMatchObject({ installationId: fresh.id });
  });
});

describe('installations', () => {
  test('repositories come and go with them; records and settings stay', async () => {
    const { state, payloads } = site.forge;
    await site.forge.addRepository({ owner: 'jane', name: 'diary' });
    const installation = state.installations.find((each) => each.account.login === 'jane')!;
    await site.deliver(payloads.installationCreated(installation, account('jane')));
    const url = site.forge.gitUrl('jane', 'diary');
    const record = await site.store.read.repositoryByUrl(url);
    expect(record).toMatchObject({ owner: 'jane', name: 'diary', installationId: installation.id });
    await site.deliver(payloads.installationDeleted(installation, account('jane')));
    expect(await site.store.read.repositoryByUrl(url)).toEqual({ ...record, installationId: null });
    expect(await site.github.credentialsFor(url, signal)).toBeNull();
    const synced = await (await site.call('POST', '/api/repositories')).json();
    expect(synced.repositories.map(({ name }: { name: string }) => name)).toEqual(['widgets', 'diary', 'notes']);
    expect(await site.store.read.repositoryByUrl(url)).toEqual(record);
  });
});

async function openPull(branch: string): Promise<Pull> {
  await site.forge.commit('acme/widgets', { branch, message: branch, files: { 'a.txt': `${branch}\n` } });
  return site.forge.openPull('acme/widgets', { title: branch, head: branch, base: 'main', author: 'tom' });
}

function taskOf(repositoryId: string, issueNumber: number, pullNumber: number): TaskRecord {
  const at = new Date().toISOString();
  return {
    id: `tsk_${issueNumber}`,
    repositoryId,
    issueNumber,
    pullNumber,
    sessionId: null,
    state: 'waiting',
    commentId: null,
    turnId: null,
    trigger: { kind: 'issue', id: 1, number: issueNumber, login: 'maria', author: { name: 'm', email: 'm@x' }, text: '', deliveryId: 'd' },
    pending: [],
    pushedCommit: null,
    error: null,
    createdAt: at,
    updatedAt: at,
  };
}
