import { access } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { BerthError } from '../protocol/errors.ts';
import { basicAuthorization } from './host-git.ts';
import type { GitCredential, HostGit } from './host-git.ts';

export interface RemoteRefs {
  /** `null`: the remote names none, as an empty repository does. */
  defaultBranch: string | null;
  /** Branch name to commit. */
  branches: ReadonlyMap<string, string>;
  /** Tag name to its object, where they were asked for. */
  tags: ReadonlyMap<string, string>;
}

export interface RemoteAccess {
  git: HostGit;
  credential: GitCredential | null;
  signal: AbortSignal;
}

const probeTimeoutMs = 30_000;

/**
 * Asks the remote whether it would serve, by the request that git itself begins with
 * (gitprotocol-http, "Smart Clients"), so that a refusal is told by its status and not by git's words.
 * Throws `repository_not_found`, `repository_refused` (field `repository`) or `upstream_failed`.
 */
export async function probeRemote(
  url: string,
  service: 'git-upload-pack' | 'git-receive-pack',
  options: { credential: GitCredential | null; signal: AbortSignal },
): Promise<void> {
  const { credential, signal } = options;
  const named = { field: 'repository', context: { repository: url } };
  if (url.startsWith('file:')) {
    await access(fileURLToPath(url)).catch((cause: unknown) => {
      throw new BerthError('repository_not_found', 'there is no such folder on the Berth server', { ...named, cause });
    });
    return;
  }
  const timeout = AbortSignal.timeout(probeTimeoutMs);
  let status: number;
  try {
    const response = await fetch(`${url}/info/refs?service=${service}`, {
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout]),
      headers: {
        'user-agent': 'git/2 (berth)',
        ...(credential === null ? {} : { authorization: basicAuthorization(credential) }),
      },
    });
    status = response.status;
    await response.body?.cancel();
  } catch (cause) {
    signal.throwIfAborted();
    throw new BerthError('upstream_failed', "the repository's host cannot be reached", { ...named, cause });
  }
  if (status === 200) return;
  const how = credential === null ? 'without credentials' : 'with the credentials Berth has for it';
  if (status === 401 || status === 403) {
    const what = service === 'git-upload-pack' ? 'be read' : 'be written to';
    throw new BerthError(
      'repository_refused',
      `the repository does not exist or may not ${what} ${how} (HTTP ${status})`,
      named,
    );
  }
  if (status === 404 || status === 410) {
    throw new BerthError('repository_not_found', `there is no repository at this address, seen ${how}`, named);
  }
  if (status >= 300 && status < 400) {
    throw new BerthError(
      'repository_not_found',
      'the repository has moved: the address answers with a redirect',
      named,
    );
  }
  throw new BerthError('upstream_failed', `the repository's host answered HTTP ${status}`, named);
}

/** With its tags where `tags` asks for them. Throws as `probeRemote` does. */
export async function listRemote(
  url: string,
  remote: RemoteAccess,
  { tags = false }: { tags?: boolean } = {},
): Promise<RemoteRefs> {
  await probeRemote(url, 'git-upload-pack', remote);
  const patterns = ['HEAD', 'refs/heads/*', ...(tags ? ['refs/tags/*'] : [])];
  const result = await remote.git.run(['ls-remote', '--symref', '--', url, ...patterns], {
    signal: remote.signal,
    credential: remote.credential === null ? undefined : { url, value: remote.credential },
  });
  if (result.exitCode !== 0) throw remoteFailed(url, 'cannot be listed', result.stderr);
  return parseRemoteRefs(result.stdout.toString('utf8'));
}

/** A remote that passed the probe and yet fails: what it is follows from the probe, so only its own words are kept. */
export function remoteFailed(url: string, what: string, stderr: string): BerthError {
  const options = { field: 'repository', context: { repository: url, stderr } };
  return url.startsWith('file:')
    ? new BerthError('repository_not_found', `the folder is no git repository or ${what}`, options)
    : new BerthError('upstream_failed', `the repository ${what}`, options);
}

export function parseRemoteRefs(text: string): RemoteRefs {
  const branches = new Map<string, string>();
  const tags = new Map<string, string>();
  let target: string | null = null;
  let headSha: string | null = null;
  for (const line of text.split('\n')) {
    const [value, name] = line.split('\t');
    if (value === undefined || name === undefined) continue;
    if (name === 'HEAD' && value.startsWith('ref: refs/heads/')) target = value.slice('ref: refs/heads/'.length);
    else if (name === 'HEAD') headSha = value;
    else if (name.startsWith('refs/heads/')) branches.set(name.slice('refs/heads/'.length), value);
    // The commit behind an annotated tag is listed too, with a suffix that no name can have.
    else if (name.startsWith('refs/tags/') && !name.endsWith('^{}')) tags.set(name.slice('refs/tags/'.length), value);
  }
  // A detached HEAD names no branch; one that stands at the same commit will do.
  const same = headSha === null ? undefined : [...branches].find(([, sha]) => sha === headSha)?.[0];
  const defaultBranch = target !== null && branches.has(target) ? target : (same ?? null);
  return { defaultBranch, branches, tags };
}

/** The branch to begin from: the one asked for, else the default. Throws `branch_not_found`. */
export function chooseBranch(refs: RemoteRefs, asked: string | null): string {
  if (asked === null) {
    if (refs.defaultBranch !== null) return refs.defaultBranch;
    throw new BerthError('branch_not_found', 'the repository has no default branch; it may be empty', {
      field: 'branch',
    });
  }
  if (refs.branches.has(asked)) return asked;
  throw new BerthError('branch_not_found', `the repository has no branch ${asked}`, { field: 'branch' });
}
