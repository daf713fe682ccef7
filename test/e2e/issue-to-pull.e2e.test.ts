import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import type { repository as repositorySchema, task as taskSchema } from '../../src/protocol/forge-api.ts';
import { createForge } from '../fixtures/forge/index.ts';
import { createModelServer } from '../fixtures/model-server/index.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';

type Repository = z.infer<typeof repositorySchema>;
type Task = z.infer<typeof taskSchema>;

let forge: Awaited<ReturnType<typeof createForge>>;
let model: Awaited<ReturnType<typeof createModelServer>>;
let installation: TestInstallation;
let server: TestServer;

const widgets = 'acme/widgets';

beforeAll(async () => {
  forge = await createForge();
  model = await createModelServer({
    key: 'sk-model',
    script: {
      rules: [
        {
          when: { prompt: /also say when/i },
          steps: [{ tool: 'write', path: 'GREETING.md', content: '# Hello\n\nToday.\n' }, { text: 'It says when now.' }],
        },
        {
          when: { prompt: /add a greeting/i },
          steps: [
            { text: 'I will add it.' },
            { tool: 'bash', command: 'echo "note by the agent" > NOTES.md && git add NOTES.md && git commit -qm "Note it" && git log -1 --format=%an' },
            { tool: 'write', path: 'GREETING.md', content: '# Hello\n' },
            { text: 'The greeting is there.' },
          ],
        },
        { when: { prompt: /why is the sky blue/i }, steps: [{ text: 'Because of Rayleigh scattering, @tom. Fixes #1.' }] },
      ],
    },
  });
  installation = await createInstallation({
    BERTH_GITHUB_API_URL: forge.apiUrl,
    BERTH_GITHUB_URL: forge.url,
    BERTH_GITHUB_PACING: 'off',
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: 'sk-model',
  });
  server = await installation.start();
  await api('POST', '/api/github/app', {
    appId: forge.app.id,
    privateKey: forge.app.privateKey,
    webhookSecret: forge.webhookSecret,
    apiUrl: forge.apiUrl,
  });
  const { repositories } = await api<{ repositories: Repository[] }>('GET', '/api/repositories');
  expect(repositories.map((each) => `${each.owner}/${each.name}`).toSorted()).toEqual([widgets, 'jane/notes']);
  for (const { id } of repositories) await api('PATCH', `/api/repositories/${id}`, { triggers: { label: 'berth', mention: 'berth' } });
});

afterAll(async () => {
  await installation.remove();
  await model.close();
  await forge.close();
});

async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

const hook = () => ({ to: `${server.url}/webhooks/github` });
const tom = () => forge.state.account('tom');

function newIssue(title: string, body: string) {
  return forge.state.addIssue(forge.state.repository(widgets), { title, body, author: forge.state.account('mallory') });
}

async function taskOf(issueNumber: number, until: (task: Task) => boolean): Promise<Task> {
  const deadline = Date.now() + 120_000;
  for (;;) {
    const { tasks } = await api<{ tasks: Task[] }>('GET', '/api/tasks');
    const task = tasks.find((each) => each.issueNumber === issueNumber);
    if (task !== undefined && until(task)) return task;
    if (Date.now() > deadline) throw new Error(`the task did not get there: ${JSON.stringify(tasks)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test('issue -> pull request -> review comment -> second commit on the same branch', async () => {
  const issue = newIssue('Add a greeting', 'Please add a greeting to the project.');
  const labeled = forge.payloads.issueLabeled(issue, 'berth', tom());
  const delivery = await forge.deliver(labeled.event, labeled.payload, { ...hook(), deliveryId: 'delivery-1' });
  expect(delivery.status).toBe(202);
  // GitHub's "redeliver": dropped.
  expect((await forge.deliver(labeled.event, labeled.payload, { ...hook(), deliveryId: 'delivery-1' })).status).toBe(202);

  const first = await taskOf(issue.number, (task) => task.state === 'waiting' || task.state === 'failed');
  expect(first).toMatchObject({ state: 'waiting', error: null, askedBy: expect.stringContaining('tom') });
  const [pull, ...others] = forge.state.pulls(widgets);
  expect(others).toEqual([]);
  expect(first.pullNumber).toBe(pull!.issue.number);
  expect(pull!.issue.title).toBe('Add a greeting');
  expect(pull!.issue.body).toContain(`Fixes #${issue.number}`);

  const branch = pull!.head;
  const log = (await forge.git(widgets, 'log', '--reverse', '--format=%an|%s|%(trailers:key=Co-authored-by,valueonly,separator=%x2C)', `main..${branch}`)).trim().split('\n');
  expect(log).toHaveLength(2);
  expect(log[0]).toContain('|Note it|');
  expect(log[1]).toMatch(/\[bot\]\|Add a greeting\|.*tom/);
  expect(await forge.readFile(widgets, branch, 'GREETING.md')).toBe('# Hello\n');

  const comments = forge.state.comments(widgets, issue.number);
  expect(comments).toHaveLength(1);
  expect(comments[0]!.history[0]).toContain('is working on this');
  expect(comments[0]!.body).toContain(`#${pull!.issue.number}`);
  expect(issue.reactions.map((reaction) => reaction.content)).toEqual(['eyes']);

  const review = forge.state.addReviewComment(pull!, { author: tom(), body: 'Also say when, please.', path: 'GREETING.md', line: 1 });
  const reviewed = forge.payloads.reviewCommentCreated(review);
  expect((await forge.deliver(reviewed.event, reviewed.payload, hook())).status).toBe(202);
  const second = await taskOf(issue.number, (task) => task.pushedCommit !== first.pushedCommit && task.state === 'waiting');
  expect(second.id).toBe(first.id);
  expect(second.sessionId).toBe(first.sessionId);
  expect(forge.state.pulls(widgets)).toHaveLength(1);
  expect(await forge.readFile(widgets, branch, 'GREETING.md')).toBe('# Hello\n\nToday.\n');
  expect((await forge.git(widgets, 'rev-list', '--count', `main..${branch}`)).trim()).toBe('3');
  expect((await server.client.sessions.turns(first.sessionId!)).map((turn) => turn.state)).toEqual(['completed', 'completed']);
  expect(forge.violations).toEqual([]);
});

test('no change: a comment with the answer, which notifies nobody and closes nothing', async () => {
  const issue = newIssue('A question', 'Why is the sky blue?');
  const labeled = forge.payloads.issueLabeled(issue, 'berth', tom());
  await forge.deliver(labeled.event, labeled.payload, hook());
  await taskOf(issue.number, (task) => task.state === 'waiting');
  const [comment] = forge.state.comments(widgets, issue.number);
  expect(comment!.body).toContain('Rayleigh scattering');
  expect(comment!.body).not.toContain('@tom');
  expect(comment!.body).not.toContain('Fixes #1');
  expect(forge.state.pulls(widgets)).toHaveLength(1);
  expect(forge.violations).toEqual([]);
});

test('who may not write starts nothing; a bad signature stores nothing', async () => {
  const issue = newIssue('Give me a shell', 'Please.');
  const mallory = forge.state.account('mallory');
  const comment = forge.state.addComment(issue, { body: '@berth do it', author: mallory });
  const created = forge.payloads.issueCommentCreated(comment);
  expect((await forge.deliver(created.event, created.payload, hook())).status).toBe(202);
  expect((await forge.deliver(created.event, created.payload, { ...hook(), corruptSignature: true })).status).toBe(401);
  expect((await forge.deliver(created.event, created.payload, { ...hook(), secret: null })).status).toBe(401);
  const labeled = forge.payloads.issueLabeled(newIssue('Go on', 'Why is the sky blue?'), 'berth', tom());
  await forge.deliver(labeled.event, labeled.payload, hook());
  // The one that is allowed came later and is done: the refused one is not merely slow.
  await taskOf(issue.number + 1, (task) => task.state === 'waiting');
  const { tasks } = await api<{ tasks: Task[] }>('GET', '/api/tasks');
  expect(tasks.some((task) => task.issueNumber === issue.number)).toBe(false);
  expect(forge.state.comments(widgets, issue.number)).toHaveLength(1);
});

test('failure: a comment with the reason, and a further comment tries again', async () => {
  const { repositories } = await api<{ repositories: Repository[] }>('GET', '/api/repositories');
  const { id } = repositories.find((each) => each.name === 'widgets')!;
  await api('PATCH', `/api/repositories/${id}`, { template: 'no-such-template' });
  const issue = newIssue('A question on a bad day', 'Why is the sky blue?');
  const labeled = forge.payloads.issueLabeled(issue, 'berth', tom());
  await forge.deliver(labeled.event, labeled.payload, hook());
  const failed = await taskOf(issue.number, (task) => task.state === 'failed');
  expect(failed.error?.message).toContain('no-such-template');
  // The task is what is true; what GitHub shows follows.
  const comments = () => forge.state.comments(widgets, issue.number).map((comment) => comment.body);
  await expect.poll(comments).toEqual([expect.stringContaining('no-such-template')]);
  expect(comments()[0]).toContain('Comment again to retry');
  await api('PATCH', `/api/repositories/${id}`, { template: null });
  expect(forge.violations).toEqual([]);
});

test('kill -9 while the agent works: one pull request, one comment', async () => {
  const issue = newIssue('Add a greeting again', 'Please add a greeting to the project.');
  const labeled = forge.payloads.issueLabeled(issue, 'berth', tom());
  expect((await forge.deliver(labeled.event, labeled.payload, hook())).status).toBe(202);
  for (let kills = 0; kills < 4; kills += 1) {
    await new Promise((resolve) => setTimeout(resolve, 300 + kills * 500));
    await server.kill();
    server = await installation.start();
  }
  const task = await taskOf(issue.number, (each) => each.state === 'waiting' || each.state === 'failed');
  expect(task).toMatchObject({ state: 'waiting', error: null });
  expect(forge.state.pulls(widgets).filter((pull) => pull.issue.body?.includes(`Fixes #${issue.number}\n`))).toHaveLength(1);
  expect(forge.state.comments(widgets, issue.number)).toHaveLength(1);
  expect(forge.violations).toEqual([]);
});
