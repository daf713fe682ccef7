import type { Store } from '../core/ports/store.ts';
import type { Connection } from './connection.ts';
import type { InstallationCalls } from './installation-call.ts';
import { repositoryAt } from './repository-at.ts';

/**
 * What git presents to a remote. `null`: nothing, for an address that is not of the App's own GitHub or
 * a repository that the App was not given. The password is good for this repository and its content
 * alone, for an hour at most; `read` is what a fetch needs.
 */
export type CredentialsFor = (
  url: string,
  signal: AbortSignal,
  access?: 'read' | 'write',
) => Promise<{ username: string; password: string } | null>;

export function createCredentials(store: Store, connection: Connection, calls: InstallationCalls): CredentialsFor {
  return async (url, signal, access = 'write') => {
    const repository = await repositoryAt(store, connection, url);
    if (repository === null) return null;
    const password = await calls.withInstallation(
      repository,
      (current, id) => current.repositoryToken(id, repository.name!, access, signal),
      signal,
    );
    // The user name that GitHub documents for installation tokens.
    return { username: 'x-access-token', password };
  };
}
