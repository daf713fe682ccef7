import type { Clock } from '../core/ports/clock.ts';
import type { RepositoryRecord, RepositorySettings, Store, StoreTransaction } from '../core/ports/store.ts';
import { newId } from '../protocol/ids.ts';
import { cloneUrl } from './addresses.ts';
import type { GithubApp } from './app.ts';

/** A repository as GitHub names it, with the installation that reaches it. */
export interface FoundRepository {
  owner: string;
  name: string;
  installationId: number;
}

/** What a repository starts with: the label `berth`, the App's own name as a mention, assigning the App. */
export function defaultSettings(botLogin: string): RepositorySettings {
  return {
    triggers: { label: 'berth', mention: `@${botLogin.replace(/\[bot\]$/, '')}`, assignee: true },
    agent: null,
    template: null,
    baseBranch: null,
  };
}

/** The repository's record, made or brought up to date. A person's settings stay. */
export async function upsertFound(
  tx: StoreTransaction,
  app: Pick<GithubApp, 'webUrl' | 'botLogin'>,
  found: FoundRepository,
  at: string,
): Promise<RepositoryRecord> {
  const url = cloneUrl(app.webUrl, found.owner, found.name);
  const known = await tx.repositoryByUrl(url);
  const record: RepositoryRecord = {
    id: known?.id ?? newId('repository'),
    url,
    forge: 'github',
    owner: found.owner,
    name: found.name,
    installationId: found.installationId,
    settings: known?.forge === 'github' ? known.settings : defaultSettings(app.botLogin),
    createdAt: known?.createdAt ?? at,
  };
  if (known === null || JSON.stringify(known) !== JSON.stringify(record)) await tx.upsertRepository(record);
  return record;
}

/**
 * Stores all that the App may reach now; what it may not reach any more keeps its record, for tasks
 * refer to it, without an installation. `accounts`: only these owners, `null` for all.
 */
export async function syncRepositories(
  store: Store,
  clock: Clock,
  app: GithubApp,
  accounts: readonly string[] | null,
  signal: AbortSignal,
): Promise<RepositoryRecord[]> {
  const found = (await listReachable(app, signal)).filter(({ owner }) => isAllowed(accounts, owner));
  const at = clock.now().toISOString();
  return store.transaction(async (tx) => {
    const reachable: RepositoryRecord[] = [];
    for (const each of found) reachable.push(await upsertFound(tx, app, each, at));
    const ids = new Set(reachable.map(({ id }) => id));
    for (const record of await tx.repositories()) {
      if (record.installationId !== null && !ids.has(record.id)) await tx.upsertRepository({ ...record, installationId: null });
    }
    return reachable.toSorted((one, other) => (one.url < other.url ? -1 : 1));
  });
}

/** Whether an account's repositories may be worked on; names are compared as GitHub does. */
export function isAllowed(accounts: readonly string[] | null, owner: string): boolean {
  return accounts === null || accounts.some((account) => account.toLowerCase() === owner.toLowerCase());
}

async function listReachable(app: GithubApp, signal: AbortSignal): Promise<FoundRepository[]> {
  const installations = await app.asApp(
    (octokit, call) => octokit.paginate(octokit.rest.apps.listInstallations, { per_page: 100, ...call }),
    signal,
  );
  const found: FoundRepository[] = [];
  for (const installation of installations) {
    if (installation.suspended_at !== null) continue;
    const repositories = await app.asInstallation(
      installation.id,
      (octokit, call) => octokit.paginate(octokit.rest.apps.listReposAccessibleToInstallation, { per_page: 100, ...call }),
      signal,
    );
    for (const { owner, name } of repositories) {
      found.push({ owner: owner.login, name, installationId: installation.id });
    }
  }
  return found;
}
