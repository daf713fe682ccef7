import type { Dependencies } from '../dependencies.ts';
import type { RunnerClient } from '../ports/runner.ts';
import { guestHome } from '../ports/sandbox-provider.ts';
import type { SessionRecord } from '../ports/store.ts';

/** Where a session without a repository works. */
export const emptyWorkspacePath = `${guestHome}/workspace`;

/** Says what long work is doing; `fraction` is 0..1, `null` where the end is not known. */
export type Progress = (stage: string, message: string, fraction?: number | null) => Promise<void>;

/**
 * Puts the session's clone (or an empty repository) into its sandbox, once: the base commit, stored
 * when it is there, says so. A crash in between starts over.
 */
export async function prepareWorkspace(
  deps: Pick<Dependencies, 'store' | 'git' | 'providers' | 'clock' | 'settings'>,
  session: SessionRecord,
  runner: RunnerClient,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  if (session.baseCommit !== null) return;
  const author = session.author ?? deps.settings.author;
  const { baseCommit } =
    session.repositoryUrl === null
      ? await deps.git.initialise(runner, { cwd: session.cwd, branch: 'main', author }, signal)
      : await cloneRepository(deps, session, session.repositoryUrl, runner, author, progress, signal);
  await deps.store.transaction((tx) =>
    tx.updateSession(session.id, { baseCommit, updatedAt: deps.clock.now().toISOString() }),
  );
}

async function cloneRepository(
  deps: Pick<Dependencies, 'git' | 'providers'>,
  session: SessionRecord,
  url: string,
  runner: RunnerClient,
  author: { name: string; email: string },
  progress: Progress,
  signal: AbortSignal,
): Promise<{ baseCommit: string }> {
  await progress('repository', `updating the mirror of ${url}`);
  let lastLine: Promise<void> = Promise.resolve();
  const mirror = await deps.git.updateMirror(url, (line) => (lastLine = progress('repository', line)), signal);
  await lastLine;
  const provider = deps.providers.of(session.provider);
  const sharedObjects =
    provider.capabilities.sharedObjects !== 'none' &&
    provider.shareObjects !== undefined &&
    session.sandboxId !== null;
  if (sharedObjects) await provider.shareObjects!(session.sandboxId!, mirror.objectsDir, { signal });
  await progress('repository', 'cloning');
  return deps.git.clone(
    runner,
    mirror,
    {
      cwd: session.cwd,
      baseBranch: session.baseBranch ?? mirror.defaultBranch,
      branch: session.branch ?? `berth/${session.id}`,
      author,
      emptyWorkspace: emptyWorkspacePath,
      sharedObjects,
    },
    signal,
  );
}
