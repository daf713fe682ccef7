import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createForge } from '../../test/fixtures/forge/index.ts';
import type { Forge } from '../../test/fixtures/forge/index.ts';
import { git as runGit } from '../../test/fixtures/forge/git.ts';
import { startRunner } from '../../test/fixtures/start-runner.ts';
import type { TestRunner } from '../../test/fixtures/start-runner.ts';
import { agentSettingsPatterns } from '../agents/settings-paths.ts';
import type { Git, Mirror } from '../core/ports/git.ts';
import type { Logger } from '../core/ports/logger.ts';
import { runnerEnv } from '../protocol/runner-launch.ts';
import { cloneMirror } from './clone.ts';
import { createGit } from './create-git.ts';
import { createHostGit } from './host-git.ts';
import type { GitCredential } from './host-git.ts';

const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
const never = new AbortController().signal;
const ada = { name: 'Ada "A" \\ Lovelace', email: 'ada@example.test' };
const agent = { name: 'Claude Code', email: 'claude@agents.example.test' };
const branch = 'berth/ses_1';
const env = { PATH: process.env['PATH'] };

let runner: TestRunner;
let forge: Forge;
let root: string;
let cwd: string;
let git: Git;
let url: string;
let credential: GitCredential | null;

beforeAll(async () => {
  [runner, forge] = await Promise.all([startRunner({ [runnerEnv.fileRoots]: '/tmp' }), createForge()]);
  url = forge.gitUrl('acme', 'widgets');
  await forge.commit('acme/widgets', {
    message: 'Add a module',
    files: {
      'src/module.js': 'export const one = 1;\n',
      'data.bin': Buffer.from([0, 1, 2, 255]),
      'run.sh': { mode: '100755', content: 'x' },
    },
  });
  await forge.commit('acme/widgets', {
    branch: 'develop',
    from: 'main',
    message: 'Develop',
    files: { 'develop.txt': 'x\n' },
  });
  await forge.git('acme/widgets', 'tag', '-a', '-m', 'First', 'v1', 'main');
});
afterAll(async () => {
  await runner[Symbol.asyncDispose]();
  await forge.close();
});

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'berth-git-'));
  cwd = join(runner.workspace, `clone-${root.slice(-6)}`);
  const installation = [...forge.state.installations.values()].find((candidate) => candidate.account.login === 'acme')!;
  credential = { username: 'x-access-token', password: forge.issueToken(installation).token };
  git = create();
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
  await rm(cwd, { recursive: true, force: true });
});

function create(extra: { maxPackBytes?: number; allowLocal?: boolean } = {}): Git {
  return createGit({
    dir: join(root, 'git'),
    env,
    allowLocal: false,
    credentials: async () => credential,
    excludes: agentSettingsPatterns,
    logger: quiet,
    ...extra,
  });
}

const quietly = () => {};
const inClone = (...args: string[]) => runGit(args, { cwd });

async function makeClone(baseBranch = 'main', at = branch): Promise<{ mirror: Mirror; baseCommit: string }> {
  const mirror = await git.updateMirror(url, quietly, never);
  const request = { cwd, baseBranch, branch: at, author: ada, sharedObjects: false };
  return { mirror, ...(await git.clone(runner.client, mirror, request, never)) };
}

const commit = (message = 'Change things') =>
  git.commitAll(runner.client, { cwd, message, author: ada, coAuthors: [agent] }, never);

describe('check', () => {
  test('finds the default branch, and the one asked for', async () => {
    expect(await git.check(url, null, never)).toEqual({ baseBranch: 'main' });
    expect(await git.check(url, 'develop', never)).toEqual({ baseBranch: 'develop' });
  });

  test.each([
    ['a branch that is not there', () => url, 'nope', 'branch_not_found', 'branch'],
    ['a repository that is not there', () => forge.gitUrl('acme', 'nope'), null, 'repository_not_found', 'repository'],
    ['a host that is away', () => 'http://127.0.0.1:9/x', null, 'upstream_failed', 'repository'],
    ['a local path, not allowed', () => `file://${root}`, null, 'repository_not_found', 'repository'],
  ])('%s', async (_what, address, asked, code, field) => {
    await expect(git.check(address(), asked, never)).rejects.toMatchObject({ code, field });
  });

  test('a credential that is refused', async () => {
    credential = { username: 'x', password: 'wrong' };
    await expect(git.check(url, null, never)).rejects.toMatchObject({
      code: expect.stringMatching(/^repository_(?:refused|not_found)$/),
      field: 'repository',
    });
    credential = null;
    await expect(git.check(url, null, never)).rejects.toMatchObject({ field: 'repository' });
  });

  test('an empty repository has no branch to start from', async () => {
    const path = join(root, 'empty.git');
    await runGit(['init', '-q', '--bare', path]);
    const local = create({ allowLocal: true });
    await expect(local.check(`file://${path}`, null, never)).rejects.toMatchObject({
      code: 'branch_not_found',
      field: 'branch',
    });
    await expect(local.check(`file://${root}`, null, never)).rejects.toMatchObject({ code: 'repository_not_found' });
  });

  test('an abort is told as what it is', async () => {
    await expect(git.check(url, null, AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('mirror', () => {
  test('concurrent updates are one fetch; objects stay in few packs and the token is stored nowhere', async () => {
    const before = forge.requests.length;
    const [mirror] = await Promise.all([git.updateMirror(url, quietly, never), git.updateMirror(url, quietly, never)]);
    const packs = (await readdir(join(mirror.objectsDir, 'pack'))).filter((name) => name.endsWith('.pack'));
    expect(packs).toHaveLength(1);
    expect(mirror.defaultBranch).toBe('main');
    expect(
      forge.requests.slice(before).filter((request) => request.path.endsWith('git-upload-pack')).length,
    ).toBeLessThanOrEqual(3);
    for (const name of await readdir(join(root, 'git'), { recursive: true, withFileTypes: true })) {
      if (!name.isFile() || name.name.endsWith('.pack')) continue;
      expect(await readFile(join(name.parentPath, name.name), 'latin1')).not.toContain(credential!.password);
    }
  });

  test('nothing new is not fetched; a branch that went and a tag that moved are', async () => {
    const { objectsDir } = await git.updateMirror(url, quietly, never);
    const path = dirname(objectsDir);
    const asked = async () => {
      const before = forge.requests.length;
      await git.updateMirror(url, quietly, never);
      return forge.requests.slice(before).filter(({ path: at }) => at.endsWith('/git-upload-pack')).length;
    };
    expect(await asked()).toBe(1);
    await forge.git('acme/widgets', 'branch', 'passing', 'main');
    expect(await asked()).toBeGreaterThan(1);
    await forge.git('acme/widgets', 'branch', '-D', 'passing');
    await forge.git('acme/widgets', 'tag', '-f', '-a', '-m', 'Again', 'v1', 'develop');
    expect(await asked()).toBeGreaterThan(1);
    expect(await runGit(['branch', '--list', 'passing'], { cwd: path })).toBe('');
    expect(await runGit(['rev-parse', 'v1'], { cwd: path })).toBe(await forge.git('acme/widgets', 'rev-parse', 'v1'));
    expect(await asked()).toBe(1);
  });

  test('follows the remote, and locks of a killed git do not block a new process', async () => {
    const { objectsDir } = await git.updateMirror(url, quietly, never);
    const path = dirname(objectsDir);
    await writeFile(join(path, 'packed-refs.lock'), '');
    await mkdir(join(path, 'refs/heads'), { recursive: true });
    await writeFile(join(path, 'refs/heads/main.lock'), '');
    await writeFile(join(path, 'objects/pack/tmp_pack_x'), 'x');
    const sha = await forge.commit('acme/widgets', { message: 'Later', files: { 'later.txt': 'x\n' } });
    await create().updateMirror(url, quietly, never);
    expect(await runGit(['rev-parse', 'main'], { cwd: path })).toBe(sha);
  });

  test('many packs are joined', async () => {
    const { objectsDir } = await git.updateMirror(url, quietly, never);
    for (let index = 0; index < 26; index++) {
      await forge.commit('acme/widgets', {
        branch: 'many',
        from: 'main',
        message: `${index}`,
        files: { 'n.txt': `${index}\n` },
      });
      await git.updateMirror(url, quietly, never);
    }
    const packs = (await readdir(join(objectsDir, 'pack'))).filter((name) => name.endsWith('.pack'));
    expect(packs.length).toBeLessThan(10);
    await runGit(['fsck', '--strict'], { cwd: dirname(objectsDir) });
  });
});

describe('clone', () => {
  test('stands on its own branch, knows the remote branches and tags, and holds no credential', async () => {
    const { baseCommit } = await makeClone();
    expect(await inClone('rev-parse', 'HEAD', 'origin/main', 'origin/HEAD', 'v1^{commit}')).toContain(baseCommit);
    expect(await inClone('symbolic-ref', 'HEAD')).toBe(`refs/heads/${branch}`);
    expect(await inClone('status', '--porcelain=v2', '--branch')).toContain('branch.upstream origin/main');
    expect(await inClone('branch', '-r')).toContain('origin/develop');
    expect(await inClone('config', 'remote.origin.url')).toBe(url);
    expect(await readFile(join(runner.workspace, '.gitconfig'), 'utf8')).toContain(`[url "http://127.0.0.1:8079/git/${new URL(url).host}/acme/widgets.git"]\n\tinsteadOf = ${url}`);
    expect(await inClone('config', 'user.name')).toBe(ada.name);
    expect(await readFile(join(cwd, 'src/module.js'), 'utf8')).toBe('export const one = 1;\n');
    await inClone('fsck', '--strict');
    expect(await readFile(join(cwd, '.git/config'), 'utf8')).not.toContain(credential!.password);
  });

  test('borrows objects where they are shared, and starts over when repeated', async () => {
    const mirror = await git.updateMirror(url, quietly, never);
    const host = createHostGit({ dir: join(root, 'git'), env, allowLocal: false });
    const options = { git: host, excludes: [], guestObjectsDir: mirror.objectsDir };
    const request = { cwd, baseBranch: 'develop', branch, author: ada, sharedObjects: true };
    await mkdir(cwd, { recursive: true });
    await writeFile(join(cwd, 'left-over'), 'x');
    for (let round = 0; round < 2; round++) {
      await cloneMirror(options, runner.client, mirror, request, never);
      expect(await readdir(join(cwd, '.git/objects/pack')).catch(() => [])).toEqual([]);
      expect((await readdir(cwd)).sort()).toEqual(
        ['.git', 'README.md', 'data.bin', 'develop.txt', 'run.sh', 'src'].sort(),
      );
    }
    await inClone('fsck', '--strict');
  });

  test('the base branch must be there', async () => {
    await expect(makeClone('nope')).rejects.toMatchObject({ code: 'branch_not_found', field: 'branch' });
  });

  test('an empty workspace keeps what is in the folder', async () => {
    await mkdir(cwd, { recursive: true });
    await writeFile(join(cwd, 'notes.txt'), 'mine\n');
    const { baseCommit } = await git.initialise(runner.client, { cwd, branch: 'main', author: ada }, never);
    const diff = await git.diff(runner.client, { cwd, baseCommit }, never);
    expect(diff.files).toEqual([{ path: 'notes.txt', from: null, status: 'added', additions: 1, deletions: 0 }]);
  });
});

describe('diff', () => {
  test('commits, edits, renames, untracked and binary files, with the index untouched', async () => {
    const { baseCommit } = await makeClone();
    expect(await git.diff(runner.client, { cwd, baseCommit }, never)).toEqual({
      baseCommit,
      files: [],
      patch: '',
      truncated: false,
    });
    await inClone('mv', 'src/module.js', 'src/renamed module.js');
    await inClone('commit', '-qm', 'Rename');
    await writeFile(join(cwd, 'README.md'), '# changed\n');
    await writeFile(join(cwd, 'new "file"\n.txt'), 'a\nb\n');
    await writeFile(join(cwd, 'data.bin'), Buffer.from([0, 9, 9]));
    await rm(join(cwd, 'run.sh'));
    const status = await inClone('status', '--porcelain');
    const diff = await git.diff(runner.client, { cwd, baseCommit }, never);
    expect(diff.files).toEqual([
      { path: 'README.md', from: null, status: 'modified', additions: 1, deletions: 1 },
      { path: 'data.bin', from: null, status: 'modified', additions: null, deletions: null },
      { path: 'new "file"\n.txt', from: null, status: 'added', additions: 2, deletions: 0 },
      { path: 'run.sh', from: null, status: 'removed', additions: 0, deletions: 1 },
      { path: 'src/renamed module.js', from: 'src/module.js', status: 'renamed', additions: 0, deletions: 0 },
    ]);
    expect(diff.patch).toMatch(/^diff --git a\/README.md b\/README.md\n/);
    expect(diff.patch).toContain('rename to src/renamed module.js');
    expect(await inClone('status', '--porcelain')).toBe(status);
    expect(await readdir(join(cwd, '.git'))).not.toEqual(
      expect.arrayContaining([expect.stringContaining('berth-index')]),
    );
  });

  test('a large one is cut and says so', async () => {
    const { baseCommit } = await makeClone();
    await writeFile(join(cwd, 'large.txt'), `${'x'.repeat(99)}\n`.repeat(120_000));
    const diff = await git.diff(runner.client, { cwd, baseCommit }, never);
    expect(diff.truncated).toBe(true);
    expect(diff.files[0]).toMatchObject({ path: 'large.txt', additions: 120_000 });
  });

  test('without a repository', async () => {
    await mkdir(cwd);
    await expect(git.diff(runner.client, { cwd, baseCommit: null }, never)).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(git.diff(runner.client, { cwd: '/nowhere', baseCommit: null }, never)).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

describe('commit', () => {
  test('takes what was left, with attribution, and no settings of agents', async () => {
    const { baseCommit } = await makeClone();
    await mkdir(join(cwd, '.claude'));
    await writeFile(join(cwd, '.claude/settings.local.json'), '{}');
    await mkdir(join(cwd, '.codex'));
    await writeFile(join(cwd, '.codex/config.toml'), '');
    await inClone('add', '-f', '.codex/config.toml');
    await runGit(['init', '-q', join(cwd, 'nested')]);
    await runGit(['commit', '-q', '--allow-empty', '-m', 'x'], { cwd: join(cwd, 'nested') });
    await writeFile(join(cwd, 'new.txt'), 'x\n');
    await rm(join(cwd, 'run.sh'));
    await writeFile(join(cwd, '.git/hooks-ran'), '');
    await mkdir(join(cwd, '.git/hooks'), { recursive: true });
    await writeFile(join(cwd, '.git/hooks/pre-commit'), '#!/bin/sh\nexit 1\n');
    await chmod(join(cwd, '.git/hooks/pre-commit'), 0o755);

    const change = await commit('Change things\n\n# not a comment');
    expect(change).toEqual({ sha: await inClone('rev-parse', 'HEAD'), subject: 'Change things' });
    expect((await inClone('show', '--name-status', '--format=', 'HEAD')).split('\n')).toEqual([
      'A\tnew.txt',
      'D\trun.sh',
    ]);
    expect(await inClone('log', '-1', '--format=%an <%ae>|%cn|%B')).toBe(
      `${ada.name} <${ada.email}>|${ada.name}|Change things\n\n# not a comment\n\nCo-authored-by: Claude Code <claude@agents.example.test>`,
    );
    expect(await commit()).toBeNull();
    expect(await git.log(runner.client, { cwd, baseCommit }, never)).toEqual([change]);
  });

  test("keeps the agent's own commits", async () => {
    const { baseCommit } = await makeClone();
    await writeFile(join(cwd, 'own.txt'), 'x\n');
    await inClone('add', '.');
    await inClone('commit', '-qm', 'By the agent');
    expect(await commit()).toBeNull();
    await writeFile(join(cwd, 'left.txt'), 'x\n');
    await commit('By Berth');
    const log = await git.log(runner.client, { cwd, baseCommit }, never);
    expect(log.map(({ subject }) => subject)).toEqual(['By the agent', 'By Berth']);
  });

  test("a settings file that the repository tracks is the project's own", async () => {
    await makeClone();
    await mkdir(join(cwd, '.codex'));
    await writeFile(join(cwd, '.codex/config.toml'), 'a\n');
    await inClone('add', '-f', '.codex');
    await inClone('commit', '-qm', 'Track');
    await writeFile(join(cwd, '.codex/config.toml'), 'b\n');
    await commit();
    expect(await inClone('show', 'HEAD:.codex/config.toml')).toBe('b');
  });
});

describe('push', () => {
  const pushed = (baseCommit: string, at = branch) =>
    git.push(runner.client, { url, cwd, sessionId: 'ses_1', branch: at, baseCommit }, never);

  async function changed(file: string): Promise<void> {
    await writeFile(join(cwd, file), `${file}\n`);
    await commit(file);
  }

  test('twice on one branch, and nothing is left anywhere', async () => {
    const { baseCommit } = await makeClone();
    await changed('one.txt');
    const first = await pushed(baseCommit);
    expect((await forge.refs('acme/widgets'))[`refs/heads/${branch}`]).toBe(first.sha);
    expect(await pushed(baseCommit)).toEqual(first);
    await changed('two.txt');
    const second = await pushed(baseCommit);
    expect(await forge.readFile('acme/widgets', second.sha, 'two.txt')).toBe('two.txt\n');
    expect(await readdir(join(root, 'git/outgoing'))).toEqual([]);
    expect((await readdir('/tmp')).filter((name) => name.startsWith('berth-') && name.endsWith('.pack'))).toEqual([]);
  });

  test('commits on a branch that the agent made itself are not lost', async () => {
    const at = 'berth/ses_2';
    const { baseCommit } = await makeClone('main', at);
    await inClone('checkout', '-qb', 'my-idea');
    await changed('idea.txt');
    const { sha } = await pushed(baseCommit, at);
    expect(await forge.readFile('acme/widgets', sha, 'idea.txt')).toBe('idea.txt\n');
    expect(await forge.refs('acme/widgets')).toMatchObject({ [`refs/heads/${at}`]: sha });
  });

  test('a diverged remote branch is a conflict and is not forced', async () => {
    const at = 'berth/ses_3';
    const { baseCommit } = await makeClone('main', at);
    const other = await forge.commit('acme/widgets', {
      branch: at,
      from: 'main',
      message: 'By another',
      files: { 'other.txt': 'x\n' },
    });
    await changed('mine.txt');
    await expect(pushed(baseCommit, at)).rejects.toMatchObject({ code: 'conflict', field: 'branch' });
    expect((await forge.refs('acme/widgets'))[`refs/heads/${at}`]).toBe(other);
  });

  test('a token that may only read is refused', async () => {
    const { baseCommit } = await makeClone('main', 'berth/ses_4');
    await changed('x.txt');
    const installation = [...forge.state.installations.values()].find(
      (candidate) => candidate.account.login === 'acme',
    )!;
    credential = {
      username: 'x-access-token',
      password: forge.issueToken(installation, { permissions: { metadata: 'read', contents: 'read' } }).token,
    };
    await expect(pushed(baseCommit, 'berth/ses_4')).rejects.toMatchObject({
      code: 'repository_refused',
      field: 'repository',
    });
  });

  test('too much is refused before it is taken in', async () => {
    git = create({ maxPackBytes: 1000 });
    const { baseCommit } = await makeClone('main', 'berth/ses_5');
    await writeFile(join(cwd, 'noise.bin'), randomBytes(50_000));
    await commit('Noise');
    await expect(pushed(baseCommit, 'berth/ses_5')).rejects.toMatchObject({ code: 'payload_too_large' });
    expect(await readdir(join(root, 'git/outgoing'))).toEqual([]);
  });

  test('a commit that git calls dangerous does not get out', async () => {
    const at = 'berth/ses_6';
    const { baseCommit } = await makeClone('main', at);
    const blob = await runGit(['hash-object', '-w', '--stdin'], { cwd, input: 'x' });
    const tree = await runGit(['hash-object', '-w', '-t', 'tree', '--literally', '--stdin'], {
      cwd,
      input: Buffer.concat([Buffer.from('100644 .git\0'), Buffer.from(blob, 'hex')]),
    });
    const sha = await runGit(['commit-tree', '-p', 'HEAD', '-m', 'x', tree], { cwd });
    await inClone('update-ref', `refs/heads/${at}`, sha);
    await expect(pushed(baseCommit, at)).rejects.toMatchObject({ code: 'upstream_failed' });
    expect(await forge.refs('acme/widgets')).not.toHaveProperty([`refs/heads/${at}`]);
  });

  test('a bad branch name never reaches git', async () => {
    await expect(pushed('0'.repeat(40), '--force')).rejects.toMatchObject({ code: 'invalid_request', field: 'branch' });
  });
});
