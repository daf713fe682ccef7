import type { RepositoryRecord, Store } from '../core/ports/store.ts';
import { parseCloneUrl } from './addresses.ts';
import type { Connection } from './connection.ts';

/** `null` for an address that is not of the App's own GitHub, or of a repository that the App was not given. */
export async function repositoryAt(store: Store, connection: Connection, url: string): Promise<RepositoryRecord | null> {
  const app = await connection.current();
  const named = app === null ? null : parseCloneUrl(app.webUrl, url);
  if (named === null) return null;
  const is = (one: string | null, other: string) => one?.toLowerCase() === other.toLowerCase();
  const repository = (await store.read.repositories()).find(
    (each) => each.forge === 'github' && is(each.owner, named.owner) && is(each.name, named.name),
  );
  return repository === undefined || repository.installationId === null ? null : repository;
}
