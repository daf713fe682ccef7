import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isLocal } from './connection.ts';
import { usageError } from './failure.ts';

export interface ResolvedRepository {
  /** What the server is given. */
  url: string;
  /** The directory has changes that a clone does not see. */
  uncommitted: boolean;
}

/**
 * `--repo` as a clone URL. A directory becomes a `file:` URL of the repository that it lies in, which
 * only a server on this machine can read.
 */
export async function resolveRepository(given: string, serverUrl: string): Promise<ResolvedRepository> {
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(given);
  const isScp = /^[\w.-]+@[\w.-]+:/.test(given);
  if (isUrl || isScp) return { url: given, uncommitted: false };
  const root = await repositoryRoot(resolve(given));
  if (root === null) throw usageError(`${given} is neither a URL nor a directory in a git repository`, 'repository');
  if (!isLocal(serverUrl)) {
    throw usageError(`the server at ${serverUrl} cannot see ${root}: give the repository's URL instead`, 'repository');
  }
  return { url: pathToFileURL(root).href, uncommitted: await hasUncommitted(root) };
}

async function repositoryRoot(from: string): Promise<string | null> {
  for (let at = from; ; at = dirname(at)) {
    if (await exists(join(at, '.git'))) return at;
    // A bare repository has its parts at the top.
    if (at === from && (await exists(join(at, 'HEAD'))) && (await exists(join(at, 'objects')))) return at;
    if (dirname(at) === at) return null;
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Without git on this machine nobody can say; then nothing is said. */
function hasUncommitted(root: string): Promise<boolean> {
  return new Promise((done) => {
    execFile('git', ['-C', root, 'status', '--porcelain'], { timeout: 10_000 }, (error, out) =>
      done(error === null && out !== ''),
    );
  });
}
