import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../protocol/errors.ts';
import type { GitCredential, HostGit } from './host-git.ts';

export interface SendOnOptions {
  /** For what is on its way out; emptied after each push. */
  dir: string;
  git: HostGit;
  /** Of the mirror, whose objects need not come again. */
  objectsDir: string;
  /** Of the pack that a sandbox sends. Default 1 GiB. */
  maxPackBytes?: number;
}

export interface SentCommit {
  url: string;
  sessionId: string;
  branch: string;
  baseCommit: string;
  sha: string;
  credential: GitCredential | null;
}

/**
 * Pushes a commit that came out of a sandbox. Its pack is taken into a repository made for this push alone:
 * size-limited, every object checked, nothing of it in the mirror that other sessions borrow from. Never forces, and
 * never deletes.
 *
 * Throws `conflict` when the remote branch has other commits, `repository_refused` when it may not be written,
 * `payload_too_large`, and `upstream_failed`.
 */
export async function sendOn(
  options: SendOnOptions,
  commit: SentCommit,
  pack: AsyncIterable<Uint8Array>,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { git, dir, objectsDir } = options;
  const outgoing = join(dir, `${commit.sessionId}-${randomUUID()}.git`);
  try {
    await mkdir(dir, { recursive: true });
    await git.must(['init', '--quiet', '--bare', '--template=', outgoing], { signal });
    await mkdir(join(outgoing, 'objects/info'), { recursive: true });
    await writeFile(join(outgoing, 'objects/info/alternates'), `${objectsDir}\n`);
    await takeIn(options, pack, outgoing, signal);
    await checkConnected(git, outgoing, commit.sha, commit.baseCommit, signal);
    await push(git, outgoing, commit, onLine, signal);
  } finally {
    await rm(outgoing, { recursive: true, force: true });
  }
}

async function takeIn(
  options: SendOnOptions,
  pack: AsyncIterable<Uint8Array>,
  outgoing: string,
  signal: AbortSignal,
): Promise<void> {
  const maxPackBytes = options.maxPackBytes ?? 1024 * 1024 * 1024;
  const result = await options.git.run(['index-pack', '--stdin', '--fix-thin', '--strict'], {
    cwd: outgoing,
    signal,
    input: limited(pack, maxPackBytes),
  });
  if (result.exitCode !== 0) {
    throw new BerthError('upstream_failed', 'the objects that the sandbox sent are not sound', {
      context: { stderr: result.stderr },
    });
  }
}

async function* limited(body: AsyncIterable<Uint8Array>, maxBytes: number): AsyncIterable<Uint8Array> {
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) {
      throw new BerthError('payload_too_large', `the session's commits are larger than ${maxBytes} bytes`);
    }
    yield chunk;
  }
}

/** That the commit is there with all it leads to, as git's own receiving end would (`check_connected`). */
async function checkConnected(
  git: HostGit,
  outgoing: string,
  sha: string,
  base: string,
  signal: AbortSignal,
): Promise<void> {
  const result = await git.run(['rev-list', '--objects', '--quiet', sha, `^${base}`], { cwd: outgoing, signal });
  if (result.exitCode === 0) return;
  throw new BerthError('upstream_failed', 'the sandbox did not send all that its commits lead to', {
    context: { stderr: result.stderr },
  });
}

async function push(
  git: HostGit,
  outgoing: string,
  { sha, credential, ...request }: SentCommit,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const result = await git.run(
    ['push', '--porcelain', '--no-verify', '--no-signed', '--', request.url, `${sha}:refs/heads/${request.branch}`],
    {
      cwd: outgoing,
      signal,
      onLine,
      credential: credential === null ? undefined : { url: request.url, value: credential },
    },
  );
  if (result.exitCode === 0) return;
  const context = { repository: request.url, branch: request.branch, stderr: result.stderr };
  switch (rejection(result.stdout.toString('utf8'))) {
    case 'local':
      throw new BerthError(
        'conflict',
        `the branch ${request.branch} has commits on the remote that the session does not have`,
        {
          field: 'branch',
          context,
        },
      );
    case 'remote':
      throw new BerthError('repository_refused', `the remote does not accept the push to ${request.branch}`, {
        field: 'repository',
        context,
      });
    case null:
      throw new BerthError('upstream_failed', 'the push failed', { field: 'repository', context });
  }
}

/**
 * Who said no, by the porcelain format of git-push: `!<tab><refs><tab>[rejected] (...)` is this git,
 * which saw that it is no fast-forward; `[remote rejected]` is a rule or hook of the remote's.
 */
function rejection(stdout: string): 'local' | 'remote' | null {
  const summary = stdout
    .split('\n')
    .filter((line) => line.startsWith('!\t'))
    .map((line) => line.split('\t')[2] ?? '')[0];
  if (summary === undefined) return null;
  return summary.startsWith('[rejected]') ? 'local' : summary.startsWith('[remote rejected]') ? 'remote' : null;
}
