import { randomUUID } from 'node:crypto';
import { checkBranchName } from '../core/git-names.ts';
import type { PushRequest } from '../core/ports/git.ts';
import type { Logger } from '../core/ports/logger.ts';
import type { RunnerClient } from '../core/ports/runner.ts';
import { BerthError } from '../protocol/errors.ts';
import type { GitCredential, HostGit } from './host-git.ts';
import type { Mirrors } from './mirror.ts';
import { sendOn } from './send-on.ts';
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
 * Brings the session's branch out of the sandbox, as a pack, and pushes it (`send-on.ts`). Git on the host never looks
 * into the sandbox.
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

    const body = await runner.readFile(pack, {}, signal);
    await sendOn({ ...options, objectsDir }, { ...request, baseCommit: base, sha, credential }, body, () => {}, signal);
    return { sha };
  } finally {
    // Best effort: the sandbox may be gone, and the file is in its own /tmp.
    await runner.removeFile(pack, { recursive: false }, AbortSignal.timeout(5000)).catch((error: unknown) => {
      options.logger.debug({ sessionId: request.sessionId, err: error }, 'exported pack not removed');
    });
  }
}
