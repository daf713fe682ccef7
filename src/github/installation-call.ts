import type { RepositoryRecord, Store } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import type { Call, GithubApp, Send } from './app.ts';
import type { Connection } from './connection.ts';
import { isInstallationGone } from './failure.ts';

/** Calls GitHub as the installation that reaches a repository, and finds it anew when the App was installed again. */
export interface InstallationCalls {
  run<T>(
    repository: RepositoryRecord,
    send: (octokit: Parameters<Send<T>>[0], at: RepositoryCall) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T>;
  /** The id, looked up when it is not known. Throws `forbidden` when the App may not reach the repository. */
  installationFor(repository: RepositoryRecord, signal: AbortSignal): Promise<number>;
  /** As `run` for what takes the id itself. */
  withInstallation<T>(
    repository: RepositoryRecord,
    use: (app: GithubApp, installationId: number) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T>;
}

/** What every call about a repository is given. */
export type RepositoryCall = Call & { owner: string; repo: string };

export function createInstallationCalls(store: Store, connection: Connection): InstallationCalls {
  async function installationFor(repository: RepositoryRecord, signal: AbortSignal): Promise<number> {
    return repository.installationId ?? locate(await connection.require(), repository, signal);
  }

  async function locate(app: GithubApp, repository: RepositoryRecord, signal: AbortSignal): Promise<number> {
    const { owner, repo } = nameOf(repository);
    const id = await app
      .asApp(async (octokit, call) => (await octokit.rest.apps.getRepoInstallation({ owner, repo, ...call })).data.id, signal)
      .catch((error: unknown) => {
        if (!(error instanceof BerthError) || error.code !== 'not_found') throw error;
        throw new BerthError('forbidden', `the GitHub App is not installed on ${owner}/${repo}`, { cause: error });
      });
    await store.transaction(async (tx) => {
      const latest = await tx.repository(repository.id);
      if (latest !== null) await tx.upsertRepository({ ...latest, installationId: id });
    });
    return id;
  }

  async function withInstallation<T>(
    repository: RepositoryRecord,
    use: (app: GithubApp, installationId: number) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const app = await connection.require();
    const known = await installationFor(repository, signal);
    try {
      return await use(app, known);
    } catch (error) {
      if (!isInstallationGone(error)) throw error;
      const fresh = await locate(app, repository, signal);
      if (fresh === known) throw error;
      return use(app, fresh);
    }
  }

  return {
    installationFor,
    withInstallation,
    run: (repository, send, signal) =>
      withInstallation(
        repository,
        (app, id) => app.asInstallation(id, (octokit, call) => send(octokit, { ...nameOf(repository), ...call }), signal),
        signal,
      ),
  };
}

function nameOf({ owner, name, id }: RepositoryRecord): { owner: string; repo: string } {
  if (owner === null || name === null) throw new BerthError('internal', `repository ${id} is not one of GitHub's`);
  return { owner, repo: name };
}
