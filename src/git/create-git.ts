import { join } from 'node:path';
import type { Git, GitReceiver } from '../core/ports/git.ts';
import type { Logger } from '../core/ports/logger.ts';
import { guestObjectsPath } from '../core/ports/sandbox-provider.ts';
import { cloneMirror, initialise } from './clone.ts';
import { commitAll, logSince, matchesPatterns } from './commit.ts';
import { diffWorkspace } from './diff.ts';
import { createHostGit } from './host-git.ts';
import type { GitCredential } from './host-git.ts';
import { createMirrors } from './mirror.ts';
import { publish, type PublishOptions } from './publish.ts';
import { createReceiver } from './receive.ts';
import { chooseBranch, listRemote } from './remote.ts';

export interface GitOptions {
  /** On the host, owned by this object: settings, `mirrors/`, `outgoing/`. On one file system with the sandboxes, or objects cannot be lent by hard links. */
  dir: string;
  /** Looked at for PATH, proxies and certificates only. */
  env: Readonly<Record<string, string | undefined>>;
  /** Whether `file:` remotes may be used. */
  allowLocal: boolean;
  /** Asked for each contact with a remote, for tokens expire. `null`: anonymous. */
  credentials: (url: string, signal: AbortSignal, access: 'read' | 'write') => Promise<GitCredential | null>;
  /** Kept out of commits: `/dir/` or `/file`, from the root of the repository. */
  excludes: readonly string[];
  maxPackBytes?: number;
  logger: Logger;
}

export function createGit(options: GitOptions): Git & GitReceiver {
  const { excludes, logger } = options;
  const reading = (url: string, signal: AbortSignal) => options.credentials(url, signal, 'read');
  const writing = (url: string, signal: AbortSignal) => options.credentials(url, signal, 'write');
  const git = createHostGit(options);
  const mirrors = createMirrors({ dir: join(options.dir, 'mirrors'), git, credentials: reading, logger });
  const isSettings = matchesPatterns(excludes);
  const outgoing: PublishOptions = {
    dir: join(options.dir, 'outgoing'),
    git,
    mirrors,
    credentials: writing,
    logger,
    ...(options.maxPackBytes === undefined ? {} : { maxPackBytes: options.maxPackBytes }),
  };
  return {
    async check(url, branch, signal) {
      const refs = await listRemote(url, { git, credential: await reading(url, signal), signal });
      return { baseBranch: chooseBranch(refs, branch) };
    },
    updateMirror: (url, onProgress, signal) => mirrors.update(url, onProgress, signal),
    clone: (runner, mirror, request, signal) =>
      cloneMirror({ git, excludes, guestObjectsDir: guestObjectsPath }, runner, mirror, request, signal),
    initialise: (runner, request, signal) => initialise({ excludes }, runner, request, signal),
    diff: (runner, request, signal) => diffWorkspace(runner, request, signal),
    commitAll: (runner, request, signal) => commitAll(runner, request, isSettings, signal),
    log: (runner, request, signal) => logSince(runner, request, signal),
    push: (runner, request, signal) => publish(outgoing, runner, request, signal),
    ...createReceiver(outgoing),
  };
}
