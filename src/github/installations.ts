import type { z } from 'zod';
import type { Clock } from '../core/ports/clock.ts';
import type { RepositoryRecord, Store, StoreTransaction } from '../core/ports/store.ts';
import { cloneUrl } from './addresses.ts';
import type { GithubApp } from './app.ts';
import { installationChanged, installationRepositories, repositoryMoved } from './payloads.ts';
import { isAllowed, upsertFound } from './repositories.ts';

/** Keeps the stored repositories in step with where the App is installed. */
export interface InstallationContext {
  store: Store;
  clock: Clock;
  /** Whose repositories may be worked on; `null` for all. */
  accounts: readonly string[] | null;
}

type Handler = (context: InstallationContext, app: GithubApp, payload: unknown) => Promise<string | null | z.ZodError>;

/** By `event.action`. Resolve to `null` when done, or to the reason why there was nothing to do. */
export const installationHandlers: Record<string, Handler> = {
  'installation.created': added,
  'installation.unsuspend': added,
  'installation.new_permissions_accepted': added,
  'installation.deleted': removed,
  'installation.suspend': removed,
  'installation_repositories.added': changed,
  'installation_repositories.removed': changed,
  'repository.renamed': moved,
  'repository.transferred': moved,
};

async function added(context: InstallationContext, app: GithubApp, payload: unknown) {
  const parsed = installationChanged.safeParse(payload);
  if (!parsed.success) return parsed.error;
  const { installation, repositories } = parsed.data;
  return add(context, app, installation.id, repositories ?? []);
}

async function removed({ store }: InstallationContext, _app: GithubApp, payload: unknown) {
  const parsed = installationChanged.safeParse(payload);
  if (!parsed.success) return parsed.error;
  const { id } = parsed.data.installation;
  await store.transaction((tx) => letGo(tx, (record) => record.installationId === id));
  return null;
}

async function changed(context: InstallationContext, app: GithubApp, payload: unknown) {
  const parsed = installationRepositories.safeParse(payload);
  if (!parsed.success) return parsed.error;
  const { installation, repositories_added: more, repositories_removed: less } = parsed.data;
  const gone = new Set((less ?? []).map(({ full_name: name }) => cloneUrl(app.webUrl, ...split(name))));
  await context.store.transaction((tx) => letGo(tx, (record) => gone.has(record.url)));
  return add(context, app, installation.id, more ?? []);
}

/** A renamed or transferred repository keeps its record, and so its tasks. */
async function moved({ store, accounts }: InstallationContext, app: GithubApp, payload: unknown) {
  const parsed = repositoryMoved.safeParse(payload);
  if (!parsed.success) return parsed.error;
  const { repository, installation, changes } = parsed.data;
  const owner = repository.owner.login;
  const from = changes.owner?.from;
  const oldOwner = from?.organization?.login ?? from?.user?.login ?? owner;
  const oldUrl = cloneUrl(app.webUrl, oldOwner, changes.repository?.name.from ?? repository.name);
  const url = cloneUrl(app.webUrl, owner, repository.name);
  return store.transaction(async (tx) => {
    const record = await tx.repositoryByUrl(oldUrl);
    if (record === null) return 'the repository is not known';
    if (url !== oldUrl && (await tx.repositoryByUrl(url)) !== null) return 'its new name is known already';
    const installationId = isAllowed(accounts, owner) ? installation.id : null;
    await tx.upsertRepository({ ...record, url, owner, name: repository.name, installationId });
    return null;
  });
}

async function add(
  { store, clock, accounts }: InstallationContext,
  app: GithubApp,
  installationId: number,
  names: readonly { full_name: string }[],
): Promise<string | null> {
  const found = names
    .map(({ full_name: fullName }) => split(fullName))
    .filter(([owner]) => isAllowed(accounts, owner));
  if (found.length < names.length) return 'the account is not one that may use this server';
  const at = clock.now().toISOString();
  await store.transaction(async (tx) => {
    for (const [owner, name] of found) await upsertFound(tx, app, { owner, name, installationId }, at);
  });
  return null;
}

async function letGo(tx: StoreTransaction, isGone: (record: RepositoryRecord) => boolean): Promise<void> {
  for (const record of await tx.repositories()) {
    if (record.installationId !== null && isGone(record)) await tx.upsertRepository({ ...record, installationId: null });
  }
}

function split(fullName: string): [owner: string, name: string] {
  const [owner = '', name = ''] = fullName.split('/');
  return [owner, name];
}
