import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { BranchState, OpenedPull } from '../protocol/forge-api.ts';
import { BerthError, type ErrorBody } from '../protocol/errors.ts';
import { createMemoryGit, type MemoryGit } from './testing/memory-git.ts';
import { createSite, signal, type Site } from './testing/site.ts';

/** What a person opens from a session: the real store, GitHub driver and stand-in GitHub; sandbox and clone are in memory. */
const fullName = 'acme/widgets';
let site: Site;
let memory: MemoryGit;

beforeAll(async () => {
  site = await createSite();
  await site.register();
  memory = createMemoryGit(site.forge, fullName);
  site.world.deps.git = memory.git;
});
afterAll(async () => {
  expect(site.forge.violations).toEqual([]);
  await site.close();
});

const newSession = (repository: string | undefined = site.forge.gitUrl('acme', 'widgets')) =>
  site.core.sessions.create({ agent: 'any', title: 'Greet', ...(repository === '' ? {} : { repository }) }, 'ada', signal);
const open = (id: string, body: unknown = {}) => site.call('POST', `/api/sessions/${id}/pull-request`, body);
const opened = async (id: string, body?: unknown) => (await open(id, body)).json() as Promise<OpenedPull>;
const branchOf = async (id: string) => (await site.call('GET', `/api/sessions/${id}/branch`)).json() as Promise<BranchState>;
async function refusal(answer: Promise<Response>): Promise<unknown> {
  const response = await answer;
  const { error } = (await response.json()) as ErrorBody;
  return [response.status, error.code, error.field];
}
async function told(id: string, type: string): Promise<number> {
  return (await site.store.read.events(id, 0, 500)).filter((event) => event.type === type).length;
}

test('one pull request, however often it is asked for, with what is new pushed to it', async () => {
  const { state } = site.forge;
  const { id, branch } = await newSession();
  expect(await branchOf(id)).toMatchObject({ branch, baseBranch: 'main', commits: [], pull: null, refusal: null });
  expect(await refusal(open(id))).toEqual([409, 'conflict', 'id']);

  memory.left.set('next', { 'hello.txt': 'hello\n' });
  const [first, second] = await Promise.all([opened(id, { title: 'Greet all', body: 'Because.' }), opened(id)]);
  expect([first.opened, second.opened]).toEqual([true, false]);
  expect(second).toMatchObject({ number: first.number, url: first.url, sha: first.sha });
  const [pull, ...others] = state.pulls(fullName).filter(({ head }) => head === branch);
  expect(others).toEqual([]);
  expect(pull).toMatchObject({ base: 'main', issue: { title: 'Greet all', body: 'Because.' } });
  expect(await site.forge.readFile(fullName, branch!, 'hello.txt')).toBe('hello\n');
  expect(await branchOf(id)).toMatchObject({
    commits: [{ sha: first.sha, subject: 'Greet all', pushed: true }],
    pull: { number: first.number, url: first.url },
  });

  memory.left.set('next', { 'hello.txt': 'HELLO\n' });
  const third = await opened(id);
  expect(third).toMatchObject({ number: first.number, opened: false });
  expect(third.sha).not.toBe(first.sha);
  expect([await told(id, 'git.committed'), await told(id, 'git.pushed'), await told(id, 'task.pull_request')]).toEqual([2, 2, 1]);
  const audit = (await site.store.read.audit({ sessionId: id, limit: 100, order: 'oldest' })).filter(({ action }) => action.startsWith('git.'));
  expect(audit.map(({ action, actor }) => `${actor} ${action}`).toSorted()).toEqual([
    'user:ada git.pull_opened',
    'user:ada git.pushed',
    'user:ada git.pushed',
  ]);
});

test('what it is opened with is the session and its owner, unless said', async () => {
  const { id, branch } = await newSession();
  memory.left.set('next', { 'bye.txt': 'bye\n' });
  const pull = site.forge.state.pull(fullName, (await opened(id)).number);
  expect(pull).toMatchObject({ head: branch, issue: { title: 'Greet', body: `Made by any in session ${id}, asked by ada.` } });
});

test('is refused with a reason', async () => {
  const { id, branch } = await newSession();
  expect(await refusal(open(id, { base: 'a..b' }))).toEqual([400, 'invalid_request', 'base']);
  expect(await refusal(open(id, { base: branch }))).toEqual([400, 'invalid_request', 'base']);
  expect(await refusal(open(id, { title: ' ' }))).toEqual([400, 'invalid_request', 'title']);
  memory.left.set('next', { 'x.txt': 'x\n' });
  const nowhere = new BerthError('branch_not_found', 'the repository has no branch nowhere', { field: 'branch' });
  const check = vi.spyOn(memory.git, 'check').mockRejectedValueOnce(nowhere);
  expect(await refusal(open(id, { base: 'nowhere' }))).toEqual([422, 'branch_not_found', 'base']);
  // Nothing was committed for it.
  expect(memory.left.has('next')).toBe(true);
  check.mockRestore();

  const { turn } = await site.core.sessions.prompt(id, { prompt: [{ type: 'text', text: 'go' }] }, 'ada');
  await expect.poll(async () => (await site.store.read.turn(turn.id))?.state).toBe('running');
  expect(await refusal(open(id))).toEqual([409, 'conflict', 'id']);
  site.world.endTurn(turn.id);

  const [none, foreign] = [await newSession(''), await newSession('https://example.com/some/where')];
  expect(await refusal(open(none.id))).toEqual([409, 'conflict', 'id']);
  expect(await refusal(open(foreign.id))).toEqual([422, 'unsupported', 'id']);
  expect((await branchOf(foreign.id)).refusal).toContain('https://example.com/some/where');
});
