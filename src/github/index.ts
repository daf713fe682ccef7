import type { Clock } from '../core/ports/clock.ts';
import type { ForgeApp } from '../core/ports/forge-app.ts';
import type { Forge } from '../core/ports/forge.ts';
import type { Logger } from '../core/ports/logger.ts';
import type { SecretBox, SecretVault } from '../core/ports/secrets.ts';
import type { RepositoryRecord, Store } from '../core/ports/store.ts';
import type { TaskService } from '../core/tasks/task-service.ts';
import { asBerthError, BerthError } from '../protocol/errors.ts';
import { defaultApiUrl, webUrlOf } from './addresses.ts';
import { createConnection } from './connection.ts';
import { createCredentials, type CredentialsFor } from './credentials.ts';
import { createDeliveries } from './deliveries.ts';
import { createGithubForge } from './forge.ts';
import { handleDelivery } from './handle-delivery.ts';
import { createInstallationCalls } from './installation-call.ts';
import { syncRepositories } from './repositories.ts';
import { createOauthClients, type OauthClients } from './oauth-client.ts';
import { createSetup, viewApp } from './setup.ts';

export type { CredentialsFor } from './credentials.ts';

export interface GithubOptions {
  store: Store;
  /** Seals what is stored. */
  secrets: SecretVault;
  /** Seals links. */
  links: SecretBox;
  clock: Clock;
  logger: Logger;
  /** Where browsers and GitHub reach this server; asked when a set-up begins. */
  publicUrl: () => string;
  /** Of the GitHub that a new App is registered with. Default `https://api.github.com`; of an Enterprise Server `https://host/api/v3`. */
  apiUrl?: string;
  /** Its pages. Default: from `apiUrl`. */
  webUrl?: string;
  /**
   * Owners whose repositories may be worked on. Default `null`: wherever the App is installed, which is safe
   * for an App that only its owner can install, as the set-up page makes it, and for no other.
   */
  accounts?: readonly string[] | null;
  /** Whether to keep the distance between writes that GitHub asks for. Default true. */
  pacing?: boolean;
  /** Whether a new App is to see who is in the organisations that install it, since people sign in by that. Default false. */
  readsMembers?: boolean;
}

/** GitHub, as the rest of Berth meets it: through ports. */
export interface Github {
  forge: Forge;
  forgeApp: ForgeApp;
  credentialsFor: CredentialsFor;
  oauth: OauthClients;
  /** Begins to work on deliveries, those that an earlier process left first. */
  start(tasks: Pick<TaskService, 'request'>): void;
  /** Resolves when no delivery is worked on now. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

export function createGithub(options: GithubOptions): Github {
  const { store, secrets, links, clock, logger, accounts = null, pacing = true } = options;
  const client = { clock, logger, pacing };
  const apiUrl = (options.apiUrl ?? defaultApiUrl).replace(/\/+$/, '');
  const connection = createConnection(store, secrets, client);
  const calls = createInstallationCalls(store, connection);
  const deliveries = createDeliveries({ store, secrets, clock, logger });

  const sync = async (signal: AbortSignal): Promise<RepositoryRecord[]> =>
    syncRepositories(store, clock, await connection.require(), accounts, signal);

  const setup = createSetup({
    store,
    secrets,
    links,
    clock,
    client,
    publicUrl: () => options.publicUrl().replace(/\/+$/, ''),
    apiUrl,
    webUrl: options.webUrl ?? webUrlOf(apiUrl),
    readsMembers: options.readsMembers ?? false,
    async onRegistered(signal) {
      // The App is registered whether or not its repositories can be listed now.
      await sync(signal).catch((error: unknown) => logger.warn({ err: error }, 'repositories could not be listed'));
    },
  });

  return {
    forge: createGithubForge(store, connection, calls),
    credentialsFor: createCredentials(store, connection, calls),
    oauth: createOauthClients(store, secrets),
    forgeApp: {
      ...setup,
      receive: (delivery) => deliveries.receive(delivery),
      syncRepositories: sync,
      async status(signal) {
        const record = await store.read.githubApp();
        if (record === null) return { app: null, installations: [], problem: null };
        const app = viewApp(record);
        try {
          const github = await connection.require();
          const found = await github.asApp(
            (octokit, call) => octokit.paginate(octokit.rest.apps.listInstallations, { per_page: 100, ...call }),
            signal,
          );
          const installations = found.map(({ id, account, suspended_at: suspendedAt }) => ({
            id,
            account: nameOfAccount(account),
            suspended: suspendedAt !== null,
          }));
          return { app, installations, problem: null };
        } catch (error) {
          const known = asBerthError(error);
          if (!(error instanceof BerthError)) throw error;
          return { app, installations: null, problem: `${known.code}: ${known.message}` };
        }
      },
    },
    start(tasks) {
      deliveries.start((delivery, signal) =>
        handleDelivery({ store, clock, connection, calls, tasks, accounts }, delivery, signal),
      );
    },
    settle: () => deliveries.settle(),
    close: () => deliveries.close(),
  };
}

/** A user's and an organisation's login, an enterprise's slug. */
function nameOfAccount(account: { login?: string; slug?: string } | null): string {
  return account?.login ?? account?.slug ?? '';
}
