import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Issue } from '../../test/fixtures/forge/index.ts';
import type { Git } from '../core/ports/git.ts';
import type { Forge } from '../core/ports/forge.ts';
import type { TaskRecord, TaskTrigger } from '../core/ports/store.ts';
import { createTaskService, type TaskService } from '../core/tasks/task-service.ts';
import { BerthError } from '../protocol/errors.ts';
import { createMemoryGit, type MemoryGit } from './testing/memory-git.ts';
import { createSite, type Site } from './testing/site.ts';

/**
 * Tasks from trigger to pull request and on, over the real store, the real GitHub driver and the
 * stand-in GitHub; only sandbox and clone are in memory.
 */
const fullName = 'acme/widgets';
const patient = { timeout: 10_000 };
let site: Site;
let tasks: TaskService;
let memory: MemoryGit;
let issue: Issue;

beforeAll(async () => {
  site = await createSite({
    tasks: ({ core, github, world }) => (tasks = createTaskService({ deps: world.deps, forge: github.forge, core })),
  });
  await site.register();
  memory = createMemoryGit(site.forge, fullName);
  site.world.deps.git = memory.git;
});
afterAll(async () => {
  expect(site.forge.violations).toEqual([]);
  await site.close();
});
beforeEach(() => {
  site.world.failCreate = null;
  site.world.deps.git = memory.git;
  memory.left.clear();
  const { state } = site.forge;
  issue = state.addIssue(state.repository(fullName), { title: 'Add a greeting', body: 'Say hello.', author: state.account('maria') });
});

const taskNow = async (): Promise<TaskRecord | null> => {
  const repository = (await site.store.read.repositories()).find(({ name }) => name === 'widgets')!;
  return site.store.read.taskByNumber(repository.id, issue.number);
};
const reached = (state: TaskRecord['state']) => expect.poll(async () => (await taskNow())?.state, patient).toBe(state);
const label = () => site.deliver(site.forge.payloads.issueLabeled(issue, 'berth', site.forge.state.account('maria')));

/** Waits until the task's turn runs, and ends it; `files` is what the agent left. */
async function finishTurn(files: Record<string, string> | null): Promise<string> {
  let turnId = '';
  await expect
    .poll(
      async () => {
        const task = await taskNow();
        turnId = task?.turnId ?? '';
        return task?.state === 'working' && (await site.store.read.turn(turnId))?.state === 'running';
      },
      patient,
    )
    .toBe(true);
  if (files !== null) memory.left.set('next', files);
  site.world.endTurn(turnId);
  await expect.poll(async () => (await site.store.read.turn(turnId))?.state).toBe('completed');
  return turnId;
}

async function promptOf(turnId: string): Promise<string> {
  const [block] = (await site.store.read.turn(turnId))!.prompt;
  return (block as { text: string }).text;
}

test('issue to pull request, and a review comment to a second commit on the same branch', async () => {
  const { state, payloads } = site.forge;
  await label();
  const first = await finishTurn({ 'hello.txt': 'hello\n' });
  await reached('waiting');

  const task = (await taskNow())!;
  const pull = state.pull(fullName, task.pullNumber!);
  expect(pull.issue).toMatchObject({ title: 'Add a greeting', body: expect.stringMatching(new RegExp(`^Fixes #${issue.number}\n`)) });
  expect(pull).toMatchObject({ base: 'main', head: expect.stringMatching(/^berth\/issue-\d+-/) });
  expect(await site.forge.readFile(fullName, pull.head, 'hello.txt')).toBe('hello\n');
  expect(memory.messages.get(pull.head)).toEqual([
    `Add a greeting\n\nRefs #${issue.number}\n\nCo-authored-by: maria <${state.account('maria').id}+maria@users.noreply.127.0.0.1>`,
  ]);
  expect(issue.reactions).toMatchObject([{ content: 'eyes', user: { login: 'berth-test[bot]' } }]);
  expect(issue.comments).toMatchObject([
    { history: [expect.stringContaining('is working on this')], body: expect.stringContaining(`Opened #${pull.issue.number}`) },
  ]);
  expect(await promptOf(first)).toMatch(/^Resolve issue #\d+[^]*<untrusted>\nTitle: Add a greeting[^]*Say hello\.\n<\/untrusted>/);

  const line = state.addReviewComment(pull, { author: state.account('tom'), body: 'Say it louder', path: 'hello.txt' });
  await site.deliver(payloads.reviewCommentCreated(line));
  const second = await finishTurn({ 'hello.txt': 'HELLO\n' });
  await reached('waiting');
  expect(await taskNow()).toMatchObject({ id: task.id, sessionId: task.sessionId, pullNumber: task.pullNumber });
  expect(second).not.toBe(first);
  expect(await promptOf(second)).toMatch(/^tom answered in a review of pull request[^]*On hello.txt:1:[^]*Say it louder/);
  expect(await site.forge.readFile(fullName, pull.head, 'hello.txt')).toBe('HELLO\n');
  expect(line.reactions).toMatchObject([{ content: 'eyes' }]);
  expect(pull.issue.comments).toMatchObject([{ body: expect.stringMatching(/Pushed [0-9a-f]{12} to #/) }]);
  expect(state.pulls(fullName)).toHaveLength(1);
});

test('no change: the comment has the answer, and there is no pull request', async () => {
  await label();
  await finishTurn(null);
  await reached('waiting');
  expect(issue.comments).toMatchObject([{ body: expect.stringContaining('The agent made no change') }]);
  expect(await taskNow()).toMatchObject({ pullNumber: null });
});

test('failure: the comment has the reason, and the next comment is a new attempt that knows the issue', async () => {
  const { state, payloads } = site.forge;
  site.world.failCreate = () => new BerthError('resource_exhausted', 'the disk is full');
  await label();
  await reached('failed');
  await expect.poll(() => issue.comments[0]?.body).toContain('the disk is full (`resource_exhausted`)');
  // The label alone, which starts a task once, is taken as a wish to try again after a failure.
  site.world.failCreate = null;
  await label();
  const again = await finishTurn({ 'a.txt': 'a\n' });
  expect(await promptOf(again)).toMatch(/^Resolve issue/);
  await reached('waiting');
  expect(issue.comments).toHaveLength(1);
  expect(issue.comments[0]!.body).toContain('Opened #');
  // And no more once it is done.
  await label();
  await tasks.settle();
  expect(await taskNow()).toMatchObject({ state: 'waiting', pending: [] });
  await site.deliver(payloads.issueCommentCreated(state.addComment(issue, { body: 'More', author: state.account('tom') })));
  expect(await promptOf(await finishTurn(null))).toMatch(/^tom answered in a comment/);
  await reached('waiting');
});

test('a task whose forge stays away says why once that is back to be told', async () => {
  site.forge.failNext('issues/get', 503, 9);
  await label();
  await reached('failed');
  await expect.poll(() => issue.comments[0]?.body).toContain('GitHub answered 503');
  expect(site.forge.pendingFaults()).toBe(0);
});

test('what is said meanwhile waits, each a turn of its own', async () => {
  const { state, payloads } = site.forge;
  await label();
  await expect.poll(async () => (await taskNow())?.state).toBe('working');
  for (const body of ['First', 'Second']) {
    const comment = state.addComment(issue, { body, author: state.account('tom') });
    await site.deliver(payloads.issueCommentCreated(comment));
    await site.deliver(payloads.issueCommentCreated(comment));
  }
  expect((await taskNow())!.pending.map(({ text }) => text)).toEqual(['First', 'Second']);
  const turns = [await finishTurn({ 'b.txt': '1\n' }), '', ''];
  for (const index of [1, 2]) {
    await expect.poll(async () => (await taskNow())?.turnId).not.toBe(turns[index - 1]);
    turns[index] = await finishTurn(null);
  }
  await reached('waiting');
  expect(await promptOf(turns[1]!)).toContain('First');
  expect(await promptOf(turns[2]!)).toContain('Second');
  // Three comments of ours: for the issue and for each request.
  expect(issue.comments.filter(({ user }) => user.login === 'berth-test[bot]')).toHaveLength(3);
});

test('a comment of ours that somebody removed is written anew', async () => {
  await label();
  await expect.poll(() => issue.comments.length).toBe(1);
  issue.comments.length = 0;
  await finishTurn({ 'c.txt': 'c\n' });
  await reached('waiting');
  expect(issue.comments).toMatchObject([{ body: expect.stringContaining('Opened #') }]);
});

test('a turn that is interrupted while it waits fails the task with a word', async () => {
  await label();
  await expect.poll(async () => (await taskNow())?.turnId).not.toBeNull();
  const { sessionId, turnId } = (await taskNow())!;
  await expect.poll(async () => (await site.store.read.turn(turnId!))?.state).toBe('running');
  await site.core.sessions.interrupt(sessionId!);
  await reached('failed');
  await expect.poll(() => issue.comments[0]?.body).toContain('interrupted');
});

test('a session that was deleted ends its task with a word, and the next one gets a branch of its own', async () => {
  const { state, payloads } = site.forge;
  await label();
  await finishTurn({ 'd.txt': 'd\n' });
  await reached('waiting');
  const before = (await taskNow())!;
  await site.core.sessions.delete(before.sessionId!);
  await site.deliver(payloads.issueCommentCreated(state.addComment(issue, { body: 'Again', author: state.account('tom') })));
  const turn = await finishTurn({ 'd.txt': 'e\n' });
  expect(await promptOf(turn)).toMatch(/^Resolve issue[^]*The request that started this work:[^]*Again/);
  await reached('waiting');
  const after = (await taskNow())!;
  expect(after.pullNumber).not.toBe(before.pullNumber);
  expect(state.pull(fullName, after.pullNumber!).head).not.toBe(state.pull(fullName, before.pullNumber!).head);
});

describe('through the API', () => {
  const post = (body: object, headers = {}) => site.call('POST', '/api/tasks', body, headers);
  const repositoryId = async () => (await site.store.read.repositories()).find(({ name }) => name === 'widgets')!.id;

  test('a request starts a task, once per key, and calls nobody on the forge', async () => {
    const body = { repositoryId: await repositoryId(), issueNumber: issue.number, text: 'Only in English.' };
    const headers = { 'idempotency-key': `key-${issue.number}` };
    const [one, two] = [await post(body, headers), await post(body, headers)];
    expect([one.status, two.status]).toEqual([202, 202]);
    const task = (await one.json()) as { id: string };
    expect(await two.json()).toEqual(task);
    expect(await promptOf(await finishTurn({ 'f.txt': 'f\n' }))).toMatch(/The request that started this work:\nOnly in English\.$/);
    await reached('waiting');
    expect(await (await site.call('GET', `/api/tasks/${task.id}`)).json()).toMatchObject({ askedBy: 'ada', state: 'waiting' });
    const pull = site.forge.state.pull(fullName, (await taskNow())!.pullNumber!);
    expect(pull.issue.body).toMatch(/asked by ada\.$/);
    expect(issue.reactions).toEqual([]);
    const listed = await (await site.call('GET', '/api/tasks?state=waiting,failed&limit=1')).json();
    expect(listed.tasks).toMatchObject([{ id: task.id }]);

    const bare = await post({ repositoryId: body.repositoryId, issueNumber: issue.number });
    expect([bare.status, (await bare.json()).error]).toMatchObject([409, { field: 'text' }]);
  });

  test.each([
    ['repositoryId', 404, { repositoryId: 'rep_x' }],
    ['issueNumber', 404, { issueNumber: 99_999 }],
    ['issueNumber', 400, { issueNumber: 0 }],
    ['text', 400, { text: '' }],
    ['other', 400, { other: 1 }],
  ])('names %s (%i)', async (field, status, change) => {
    const response = await post({ repositoryId: await repositoryId(), issueNumber: issue.number, ...change });
    expect([response.status, (await response.json()).error]).toMatchObject([status, { field }]);
  });

  test('names the field of bad settings and queries', async () => {
    const id = await repositoryId();
    const cases: [string, string, unknown, number, string][] = [
      ['GET', '/api/tasks?state=nope', undefined, 400, 'state'],
      ['GET', '/api/tasks/tsk_x', undefined, 404, 'id'],
      ['PATCH', '/api/repositories/rep_x', {}, 404, 'id'],
      ['PATCH', `/api/repositories/${id}`, { baseBranch: 'a..b' }, 400, 'baseBranch'],
      ['PATCH', `/api/repositories/${id}`, { triggers: { mention: 'a b' } }, 400, 'triggers.mention'],
    ];
    for (const [method, path, body, status, field] of cases) {
      const response = await site.call(method, path, body);
      expect([path, response.status, (await response.json()).error.field]).toEqual([path, status, field]);
    }
  });
});

describe('lost answers', () => {
  test.each(['issues/create-comment', 'issues/update-comment', 'pulls/create', 'reactions/create-for-issue'])(
    '%s done but not answered is not done twice',
    async (operation) => {
      site.forge.failNext(operation, 'reset', 1, { when: 'after' });
      await label();
      await finishTurn({ 'g.txt': `${issue.number}\n` });
      await reached('waiting');
      const pulls = site.forge.state.pulls(fullName).filter((pull) => pull.issue.body!.startsWith(`Fixes #${issue.number}\n`));
      expect([issue.comments.length, issue.reactions.length, pulls.length]).toEqual([1, 1, 1]);
      expect(issue.comments[0]!.body).toContain('Opened #');
      expect(site.forge.pendingFaults()).toBe(0);
    },
  );
});

/**
 * The process ends at each call to the forge and to git in turn, before the call is made or after it
 * is done; another process takes over. One pull request, one comment, one commit, whenever it was.
 */
describe('a crash', () => {
  test('at any call leaves nothing twice and nothing undone', { timeout: 120_000 }, async () => {
    const { state } = site.forge;
    const repository = (await site.store.read.repositories()).find(({ name }) => name === 'widgets')!;
    let crashes = 0;
    // Another process would not look at these tasks meanwhile.
    await tasks.close();
    for (let at = 0; ; at += 1) {
      let crashed = false;
      for (const when of ['before', 'after'] as const) {
        issue = state.addIssue(state.repository(fullName), { title: `Crash ${at}`, body: '', author: state.account('maria') });
        const bomb = createBomb(at, when, () => void doomed.close());
        const doomed: TaskService = createTaskService({ deps: { ...site.world.deps, git: bomb.arm(memory.git) }, forge: bomb.arm(site.github.forge), core: site.core });
        await doomed.request(repository, triggerOf(issue));
        await expect.poll(async () => bomb.hasExploded() || (await runs()), patient).toBe(true);
        if (!bomb.hasExploded()) await finishTurn({ 'h.txt': `${issue.number}\n` });
        await expect.poll(async () => bomb.hasExploded() || (await taskNow())?.state === 'waiting', patient).toBe(true);
        crashed = bomb.hasExploded();
        if (!crashed) await doomed.close();
        const heir = createTaskService({ deps: site.world.deps, forge: site.github.forge, core: site.core });
        await heir.start();
        const turn = await site.store.read.turn((await taskNow())!.turnId ?? '');
        if (crashed && turn?.state !== 'completed') await finishTurn({ 'h.txt': `${issue.number}\n` });
        await reached('waiting');
        await heir.settle();
        const pulls = state.pulls(fullName).filter((pull) => pull.issue.body!.startsWith(`Fixes #${issue.number}\n`));
        const events = await site.store.read.events((await taskNow())!.sessionId!, 0, 1000);
        const count = (type: string) => events.filter((event) => event.type === type).length;
        expect({
          at,
          when,
          calls: bomb.calls(),
          pulls: pulls.length,
          comments: issue.comments.map(({ body }) => /Opened #\d+/.exec(body)?.[0] ?? body),
          commits: memory.messages.get(pulls[0]?.head ?? '')?.length,
          events: [count('git.committed'), count('git.pushed'), count('task.pull_request')],
        }).toMatchObject({ pulls: 1, comments: [`Opened #${pulls[0]?.issue.number}`], commits: 1, events: [1, 1, 1] });
        await heir.close();
        if (crashed) crashes += 1;
      }
      if (!crashed) break;
    }
    // Acknowledge, find and create a comment, read, identity; commit, log, push; find, read, create, update.
    expect(crashes).toBeGreaterThan(20);
  });
});

/** Whether the turn of the task runs. */
async function runs(): Promise<boolean> {
  const turnId = (await taskNow())?.turnId ?? '';
  return (await site.store.read.turn(turnId))?.state === 'running';
}

function triggerOf(of: Issue): TaskTrigger {
  return {
    kind: 'issue',
    id: of.id,
    number: of.number,
    login: 'maria',
    author: { name: 'maria', email: 'maria@example.com' },
    text: '',
    deliveryId: crypto.randomUUID(),
  };
}

/**
 * Makes the n-th call the service's last: it is closed there and then, so that nothing that it would
 * have done with the answer is done; but it lets go of its sandbox, as a process that ends does.
 */
function createBomb(at: number, when: 'before' | 'after', close: () => void) {
  const calls: string[] = [];
  let dead = false;
  const end = () => {
    dead = true;
    close();
    throw new Error('the process has ended');
  };
  return {
    hasExploded: () => dead,
    calls: () => calls,
    arm<T extends Forge | Git>(port: T): T {
      return new Proxy(port, {
        get(target, name) {
          const method = target[name as keyof T] as (...args: unknown[]) => Promise<unknown>;
          return async (...args: unknown[]) => {
            if (dead) return end();
            calls.push(String(name));
            const isLast = calls.length - 1 === at;
            if (isLast && when === 'before') return end();
            const result = await method.apply(target, args);
            return isLast ? end() : result;
          };
        },
      });
    },
  };
}
