import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkBranchName } from '../core/git-names.ts';
import type { PushRequest } from '../core/ports/git.ts';
import type { Logger } from '../core/ports/logger.ts';
import type { RunnerClient } from '../core/ports/runner.ts';
import { BerthError } from '../protocol/errors.ts';
import type { GitCredential, HostGit } from './host-git.ts';
import type { Mirrors } from './mirror.ts';
import { listRemote, probeRemote } from './remote.ts';
import { checkedSha, enterClone, runInSandbox, textOf } from './sandbox-git.ts';

export interface PublishOptions {
  /** For what is on its way out; emptied after each push. */
  dir: string;
  git: HostGit;
  mirrors: Mirrors;
  credentials: (url: string, signal: AbortSignal) => Promise<GitCredential | null>;
  /** Of the pack that a sandbox sends. Default 1 GiB. */
  maxPackBytes?: number;
  logger: Logger;
}

/**
 * The commit to publish is the one checked out, when it goes on from the session's branch: an agent
 * that made a branch of its own has its work there. Else it is the session's branch.
 * $1 folder, $2 branch, $3 base, $4 pack file to write.
 */
const exportScript = `${enterClone}
head=$(git rev-parse -q --verify 'HEAD^{commit}')
branch=$(git rev-parse -q --verify "refs/heads/$2^{commit}" || true)
if [ -z "$branch" ] || git merge-base --is-ancestor "$branch" "$head"; then sha=$head; else sha=$branch; fi
umask 077
printf '%s\\n^%s\\n' "$sha" "$3" | git pack-objects -q --revs --thin --stdout --delta-base-offset > "$4"
printf '%s\\n' "$sha"
`;

const exportTimeoutMs = 10 * 60_000;

/**
 * Brings the session's branch out of the sandbox and pushes it. The sandbox gives a pack, which is
 * taken into a repository made for this push alone: size-limited, every object checked, nothing of
 * it in the mirror that other sessions borrow from. Git on the host never looks into the sandbox.
 *
 * Never forces. Idempotent: a remote that has the commit already is left alone. Throws `conflict`
 * when the remote branch has other commits, `repository_refused` when it may not be written,
 * `payload_too_large`, and `upstream_failed`.
 */
export async function publish(
  options: PublishOptions,
  runner: RunnerClient,
  request: PushRequest,
  signal: AbortSignal,
): Promise<{ sha: string }> {
  const { git, mirrors } = options;
  checkBranchName(request.branch, 'branch');
  const base = checkedSha(request.baseCommit);
  const credential = await options.credentials(request.url, signal);
  const mirror = await mirrors.find(request.url);
  const objectsDir = mirror ?? (await mirrors.update(request.url, () => {}, signal)).objectsDir;

  const pack = `/tmp/berth-${randomUUID()}.pack`;
  const outgoing = join(options.dir, `${request.sessionId}-${randomUUID()}.git`);
  try {
    const exported = await runInSandbox(
      runner,
      {
        text: exportScript,
        args: [request.cwd, request.branch, base, pack],
        timeoutMs: exportTimeoutMs,
      },
      signal,
    );
    const sha = checkedSha(textOf(exported.stdout));
    const remote = await listRemote(request.url, { git, credential, signal });
    if (remote.branches.get(request.branch) === sha) return { sha };
    await probeRemote(request.url, 'git-receive-pack', { credential, signal });

    await mkdir(options.dir, { recursive: true });
    await git.must(['init', '--quiet', '--bare', '--template=', outgoing], { signal });
    await mkdir(join(outgoing, 'objects/info'), { recursive: true });
    await writeFile(join(outgoing, 'objects/info/alternates'), `${objectsDir}\n`);
    await takeIn(options, runner, pack, outgoing, signal);
    await checkConnected(git, outgoing, sha, base, signal);
    await push(git, outgoing, sha, request, credential, signal);
    return { sha };
  } finally {
    await rm(outgoing, { recursive: true, force: true });
    // Best effort: the sandbox may be gone, and the file is in its own /tmp.
    await runner.removeFile(pack, { recursive: false }, AbortSignal.timeout(5000)).catch((error: unknown) => {
      options.logger.debug({ sessionId: request.sessionId, err: error }, 'exported pack not removed');
    });
  }
}

async function takeIn(
  options: PublishOptions,
  runner: RunnerClient,
  pack: string,
  outgoing: string,
  signal: AbortSignal,
): Promise<void> {
  const maxPackBytes = options.maxPackBytes ?? 1024 * 1024 * 1024;
  const body = await runner.readFile(pack, {}, signal);
  const result = await options.git.run(['index-pack', '--stdin', '--fix-thin', '--strict'], {
    cwd: outgoing,
    signal,
    input: limited(body, maxPackBytes),
  });
  if (result.exitCode !== 0) {
    throw new BerthError('upstream_failed', 'the objects that the sandbox sent are not sound', {
      context: { stderr: result.stderr },
    });
  }
}

async function* limited(body: ReadableStream<Uint8Array>, maxBytes: number): AsyncIterable<Uint8Array> {
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
  sha: string,
  request: PushRequest,
  credential: GitCredential | null,
  signal: AbortSignal,
): Promise<void> {
  const result = await git.run(
    ['push', '--porcelain', '--no-verify', '--no-signed', '--', request.url, `${sha}:refs/heads/${request.branch}`],
    {
      cwd: outgoing,
      signal,
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
