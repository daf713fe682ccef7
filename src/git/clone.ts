import { randomUUID } from 'node:crypto';
import { dirname } from 'node:path';
import { gitGatewayUrl } from '../core/git/gateway-url.ts';
import type { CloneRequest, Mirror } from '../core/ports/git.ts';
import type { RunnerClient } from '../core/ports/runner.ts';
import { BerthError } from '../protocol/errors.ts';
import type { HostGit } from './host-git.ts';
import { checkedSha, runInSandbox, textOf } from './sandbox-git.ts';

/** Checking out a large repository on a busy disk. */
const checkoutTimeoutMs = 15 * 60_000;

/**
 * The clone is written by hand rather than by `git clone`: settings, excludes and refs are given as
 * text, objects are borrowed (or come as one pack), and only the checkout is work.
 * $1 folder, $2 branch, $3 commit, $4 settings, $5 excludes, $6 alternates or '', $7 pack or '',
 * $8 default branch or '', $9 a folder to remove when it is an empty repository, $10 the address of the git gateway
 * or '', $11 the address that it stands for; stdin: packed-refs.
 *
 * The gateway is set for the user and not for the clone, so that a second clone finds it too.
 */
const cloneScript = `
if [ "$(ls -A -- "$9" 2>/dev/null)" = .git ]; then rm -rf -- "$9"; fi
rm -rf -- "$1"
mkdir -p -- "$1"
cd -- "$1"
git init -q --template= -b "$2"
mkdir -p .git/info .git/objects/info .git/refs/remotes/origin
printf '%s' "$4" >> .git/config
printf '%s' "$5" > .git/info/exclude
if [ -n "$6" ]; then printf '%s\\n' "$6" > .git/objects/info/alternates; fi
if [ -n "$7" ]; then git index-pack --stdin < "$7" > /dev/null; rm -f -- "$7"; fi
cat > .git/packed-refs
if [ -n "$8" ]; then printf 'ref: refs/remotes/origin/%s\\n' "$8" > .git/refs/remotes/origin/HEAD; fi
git update-ref "refs/heads/$2" "$3"
if [ -n "\${10}" ]; then git config --global "url.\${10}.insteadOf" "\${11}"; fi
git -c checkout.workers=0 reset -q --hard
git rev-parse HEAD
`;

export interface CloneOptions {
  git: HostGit;
  /** Patterns for `.git/info/exclude`. */
  excludes: readonly string[];
  /** Where a sandbox sees the mirror's objects. */
  guestObjectsDir: string;
}

/**
 * Makes the session's clone of the mirror. Its `origin` is the plain address, which git in the sandbox takes to the
 * git gateway: no credential enters the sandbox. Repeating it starts over. Throws `branch_not_found` when the base is gone.
 */
export async function cloneMirror(
  options: CloneOptions,
  runner: RunnerClient,
  mirror: Mirror,
  request: CloneRequest,
  signal: AbortSignal,
): Promise<{ baseCommit: string }> {
  const path = dirname(mirror.objectsDir);
  const refs = await readMirrorRefs(options.git, path, signal);
  const baseCommit = refs.branches.get(request.baseBranch);
  if (baseCommit === undefined) {
    throw new BerthError('branch_not_found', `the repository has no branch ${request.baseBranch}`, { field: 'branch' });
  }
  const pack = request.sharedObjects ? '' : `/tmp/berth-${randomUUID()}.pack`;
  if (pack !== '') {
    const objects = options.git.stream(['pack-objects', '-q', '--all', '--stdout', '--delta-base-offset'], {
      cwd: path,
      signal,
      input: '',
    });
    await runner.writeFile(pack, objects, { makeParents: false }, signal);
  }
  const output = await runInSandbox(
    runner,
    {
      text: cloneScript,
      args: [
        request.cwd,
        request.branch,
        baseCommit,
        cloneSettings(mirror.url, request),
        lines(options.excludes),
        request.sharedObjects ? options.guestObjectsDir : '',
        pack,
        refs.branches.has(mirror.defaultBranch) ? mirror.defaultBranch : '',
        request.emptyWorkspace ?? '',
        gitGatewayUrl(mirror.url) ?? '',
        mirror.url,
      ],
      stdin: Buffer.from(refs.packedRefs),
      timeoutMs: checkoutTimeoutMs,
    },
    signal,
  );
  if (checkedSha(textOf(output.stdout)) !== baseCommit) {
    throw new BerthError('upstream_failed', 'the clone in the sandbox does not stand at the base commit');
  }
  return { baseCommit };
}

/** $1 folder, $2 branch, $3 settings, $4 excludes. What is in the folder stays, as untracked files. */
const initialiseScript = `
mkdir -p -- "$1"
cd -- "$1"
rm -rf .git
git init -q --template= -b "$2"
mkdir -p .git/info
printf '%s' "$3" >> .git/config
printf '%s' "$4" > .git/info/exclude
git commit -q --no-verify --allow-empty -m 'Start of the session'
git rev-parse HEAD
`;

/** An empty repository with one empty commit. */
export async function initialise(
  options: Pick<CloneOptions, 'excludes'>,
  runner: RunnerClient,
  request: { cwd: string; branch: string; author: { name: string; email: string } },
  signal: AbortSignal,
): Promise<{ baseCommit: string }> {
  const output = await runInSandbox(
    runner,
    {
      text: initialiseScript,
      args: [request.cwd, request.branch, userSettings(request.author), lines(options.excludes)],
    },
    signal,
  );
  return { baseCommit: checkedSha(textOf(output.stdout)) };
}

interface MirrorRefs {
  branches: ReadonlyMap<string, string>;
  /** The remote's branches and tags as a clone's `packed-refs` file (gitrepository-layout). */
  packedRefs: string;
}

export async function readMirrorRefs(git: HostGit, path: string, signal: AbortSignal): Promise<MirrorRefs> {
  const format = '%(objectname) %(refname) %(*objectname)';
  const listed = await git.must(['for-each-ref', `--format=${format}`, 'refs/heads/', 'refs/tags/'], {
    cwd: path,
    signal,
  });
  const branches = new Map<string, string>();
  const entries: { name: string; text: string }[] = [];
  for (const line of listed.toString('utf8').split('\n')) {
    const [sha, ref, peeled] = line.split(' ');
    if (sha === undefined || ref === undefined) continue;
    const branch = ref.startsWith('refs/heads/') ? ref.slice('refs/heads/'.length) : null;
    if (branch !== null) branches.set(branch, sha);
    // As a clone's ref, a branch HEAD would be taken for the remote's default.
    if (branch === 'HEAD') continue;
    const name = branch === null ? ref : `refs/remotes/origin/${branch}`;
    entries.push({ name, text: `${sha} ${name}\n${peeled ? `^${peeled}\n` : ''}` });
  }
  entries.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  const packedRefs = `# pack-refs with: peeled fully-peeled sorted \n${entries.map(({ text }) => text).join('')}`;
  return { branches, packedRefs };
}

function cloneSettings(url: string, request: CloneRequest): string {
  return `[remote "origin"]
	url = ${quoted(url)}
	fetch = +refs/heads/*:refs/remotes/origin/*
[branch ${quoted(request.branch)}]
	remote = origin
	merge = ${quoted(`refs/heads/${request.baseBranch}`)}
[push]
	default = current
${userSettings(request.author)}`;
}

function userSettings(author: { name: string; email: string }): string {
  return `[user]\n\tname = ${quoted(author.name)}\n\temail = ${quoted(author.email)}\n`;
}

/** A value or subsection name of git's configuration syntax (git-config, "Syntax"). */
function quoted(value: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is removed
  return `"${value.replace(/[\x00-\x1f\x7f]/g, ' ').replace(/["\\]/g, '\\$&')}"`;
}

function lines(patterns: readonly string[]): string {
  return patterns.map((pattern) => `${pattern}\n`).join('');
}
