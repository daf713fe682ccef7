import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../core/ports/logger.ts';
import type { Mirror } from '../core/ports/git.ts';
import { createSharedWork } from '../core/shared-work.ts';
import { BerthError } from '../protocol/errors.ts';
import type { GitCredential, HostGit } from './host-git.ts';
import { listRemote, parseRemoteRefs, remoteFailed, type RemoteRefs } from './remote.ts';

export interface MirrorsOptions {
  /** Holds the mirrors; no sandbox can write in it. */
  dir: string;
  git: HostGit;
  credentials: (url: string, signal: AbortSignal) => Promise<GitCredential | null>;
  logger: Logger;
}

/**
 * One bare repository for each remote, with its branches and tags and nothing else. Sandboxes borrow
 * its objects by hard links to its packs, so packs are never rewritten in place: an update adds one,
 * and when there are many, small ones are joined into a new one and unlinked here; who links them
 * keeps them. Objects are never pruned.
 *
 * One process owns `dir`. Concurrent updates of one mirror are one fetch.
 */
export interface Mirrors {
  /** Brings it up to date. Throws `repository_not_found`, `repository_refused` or `upstream_failed`. */
  update(url: string, onProgress: (message: string) => void, signal: AbortSignal): Promise<Mirror>;
  /** The object directory of the mirror as it is, or `null` when there is none yet. */
  find(url: string): Promise<string | null>;
  /** The branches and tags that it has. Throws `internal` when there is none yet. */
  refs(url: string, signal: AbortSignal): Promise<{ name: string; sha: string }[]>;
}

/** Above this many packs they are joined; each costs a look-up in every search for an object. */
const maxPacks = 24;
const progressEveryMs = 500;

export function createMirrors(options: MirrorsOptions): Mirrors {
  const { dir, git, logger } = options;
  const cleaned = new Set<string>();
  const pathOf = (url: string): string => join(dir, mirrorName(url));

  const work = createSharedWork<Mirror>(async (url, onProgress, signal) => {
    const startedAt = performance.now();
    const path = pathOf(url);
    const credential = await options.credentials(url, signal);
    const refs = await listRemote(url, { git, credential, signal }, { tags: true });
    await prepare(path, signal);
    // Most of the time nothing is new, and a fetch would take another round trip to find that out.
    if (!(await hasRefs(path, refs, signal))) await fetchRefs(url, path, credential, onProgress, signal);
    if (refs.defaultBranch === null) {
      throw new BerthError('branch_not_found', 'the repository has no default branch; it may be empty', {
        field: 'branch',
      });
    }
    await git.must(['symbolic-ref', 'HEAD', `refs/heads/${refs.defaultBranch}`], { cwd: path, signal });
    logger.debug({ repository: url, durationMs: Math.round(performance.now() - startedAt) }, 'mirror updated');
    return { url, objectsDir: join(path, 'objects'), defaultBranch: refs.defaultBranch };
  });

  /** Whether the mirror has exactly these; refs are written once their objects are there. */
  async function hasRefs(path: string, remote: RemoteRefs, signal: AbortSignal): Promise<boolean> {
    const listed = await git.must(
      ['for-each-ref', '--format=%(objectname)%09%(refname)', 'refs/heads/', 'refs/tags/'],
      {
        cwd: path,
        signal,
      },
    );
    const { branches, tags } = parseRemoteRefs(listed.toString('utf8'));
    return isDeepStrictEqual({ branches, tags }, { branches: remote.branches, tags: remote.tags });
  }

  async function fetchRefs(
    url: string,
    path: string,
    credential: GitCredential | null,
    onProgress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const result = await git.run(
      [
        'fetch',
        '--progress',
        '--prune',
        '--no-write-fetch-head',
        '--no-auto-maintenance',
        '--no-recurse-submodules',
        '--',
        url,
        '+refs/heads/*:refs/heads/*',
        '+refs/tags/*:refs/tags/*',
      ],
      {
        cwd: path,
        signal,
        credential: credential === null ? undefined : { url, value: credential },
        onLine: throttled(onProgress),
      },
    );
    if (result.exitCode !== 0) throw remoteFailed(url, 'cannot be fetched', result.stderr);
    await joinPacks(path, signal);
  }

  async function prepare(path: string, signal: AbortSignal): Promise<void> {
    if (!(await exists(path))) {
      await mkdir(dir, { recursive: true });
      // Made beside, for a killed `git init` leaves a folder that is none.
      const beside = join(dir, `.new-${randomUUID()}`);
      try {
        await git.must(['init', '--quiet', '--bare', '--template=', beside], { signal });
        await rename(beside, path);
      } catch (error) {
        await rm(beside, { recursive: true, force: true });
        throw error;
      }
    }
    if (!cleaned.has(path)) {
      await removeLeftovers(path);
      cleaned.add(path);
    }
  }

  async function joinPacks(path: string, signal: AbortSignal): Promise<void> {
    const packs = (await readdir(join(path, 'objects/pack'))).filter((name) => name.endsWith('.pack'));
    if (packs.length <= maxPacks) return;
    // By size in a geometric series, so that the large old pack is hardly ever written again.
    await git.must(['repack', '-q', '-d', '--geometric=2'], { cwd: path, signal });
  }

  return {
    update: (url, onProgress, signal) => work.run(url, onProgress, signal),
    async find(url) {
      const objectsDir = join(pathOf(url), 'objects');
      return (await exists(objectsDir)) ? objectsDir : null;
    },
    async refs(url, signal) {
      const cwd = pathOf(url);
      const listed = await git.must(['for-each-ref', '--format=%(objectname) %(refname)', 'refs/heads/', 'refs/tags/'], { cwd, signal });
      return listed
        .toString('utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => ({ sha: line.slice(0, line.indexOf(' ')), name: line.slice(line.indexOf(' ') + 1) }));
    },
  };
}

/** A readable part, and a digest that tells all addresses apart. */
function mirrorName(url: string): string {
  const digest = createHash('sha256').update(url).digest('hex').slice(0, 16);
  const readable = url
    .replace(/^[a-z]+:\/+/, '')
    .replace(/\.git$/, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-');
  return `${readable.slice(-80).replace(/^[.-]+/, '')}-${digest}.git`;
}

/** What a git killed together with this process's predecessor left: locks that would block it for ever, half packs. */
async function removeLeftovers(path: string): Promise<void> {
  for (const name of await readdir(path, { recursive: true })) {
    const isLock = name.endsWith('.lock') && !name.startsWith('objects/');
    const isHalfPack = /^objects\/(?:pack\/)?tmp_/.test(name) || name.startsWith('objects/tmp_objdir-');
    if (isLock || isHalfPack) await rm(join(path, name), { recursive: true, force: true });
  }
}

function throttled(onProgress: (message: string) => void): (line: string) => void {
  let toldAt = 0;
  return (line) => {
    // Only git's own account of the transfer; what the remote prints is its own affair.
    if (!/^(?:Receiving objects|Resolving deltas):/.test(line)) return;
    const now = performance.now();
    if (now - toldAt < progressEveryMs && !line.includes('done')) return;
    toldAt = now;
    onProgress(line);
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
