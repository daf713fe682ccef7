import { createPrivateKey } from 'node:crypto';
import { actorOf } from '../core/audit/actor.ts';
import type { Clock } from '../core/ports/clock.ts';
import type { ForgeApp, RegisteredApp } from '../core/ports/forge-app.ts';
import type { SecretBox, SecretVault } from '../core/ports/secrets.ts';
import { isSameText } from '../core/same-text.ts';
import { appSecrets } from './app-secrets.ts';
import type { GithubAppRecord, Store, StoreTransaction } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import { webUrlOf } from './addresses.ts';
import { callAnonymously, createGithubApp, type ClientOptions } from './app.ts';
import { manifestFor, reachabilityWarning, registrationUrl } from './manifest.ts';
import { createSetupTokens } from './setup-token.ts';

export interface SetupOptions {
  store: Store;
  secrets: SecretVault;
  links: SecretBox;
  clock: Clock;
  client: ClientOptions;
  /** Where browsers and GitHub reach this server, without a slash at the end. */
  publicUrl: () => string;
  apiUrl: string;
  webUrl: string;
  /** Whether the App is to see who is in an organisation. */
  readsMembers: boolean;
  /** Called after an App was saved. */
  onRegistered: (signal: AbortSignal) => Promise<void>;
}

export type Setup = Pick<ForgeApp, 'createSetupLink' | 'openSetup' | 'finishSetup' | 'register'>;

const codePattern = /^[A-Za-z0-9_-]{1,200}$/;
const organizationPattern = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,98}[A-Za-z0-9])?$/;

/**
 * Registering the App. A person with a token asks for a link; the link's page sends their browser to
 * GitHub with a manifest and a state; GitHub sends them back with the state and a code, which is
 * exchanged for the App's secrets once. Closed while an App is there, but to links made to replace it.
 */
export function createSetup(options: SetupOptions): Setup {
  const { store, secrets, links, clock, client, publicUrl } = options;
  const tokens = createSetupTokens(store, links, clock);

  async function refuseClosed(reads: Pick<Store['read'], 'githubApp'>, replaces: number | null): Promise<void> {
    const app = await reads.githubApp();
    if (app !== null && app.appId !== replaces) {
      throw new BerthError('conflict', `a GitHub App is registered already: ${app.name}; set-up is closed`);
    }
  }

  async function save(record: GithubAppRecord, by: string, within: (tx: StoreTransaction) => Promise<void>, signal: AbortSignal): Promise<RegisteredApp> {
    await store.transaction(async (tx) => {
      await within(tx);
      await tx.saveGithubApp(record);
      const { appId, name, htmlUrl, createdAt } = record;
      await tx.appendAudit([
        {
          at: createdAt,
          actor: actorOf(by),
          action: 'github.app_registered',
          target: name,
          sessionId: null,
          detail: { appId, htmlUrl },
        },
      ]);
    });
    await options.onRegistered(signal);
    return viewApp(record);
  }

  return {
    async createSetupLink({ replace, by }) {
      const replaces = replace ? ((await store.read.githubApp())?.appId ?? null) : null;
      await refuseClosed(store.read, replaces);
      const { text, token } = tokens.make('link', { replaces, by });
      const at = clock.now().toISOString();
      await store.transaction((tx) =>
        tx.appendAudit([
          { at, actor: actorOf(by), action: 'github.setup_link_created', target: null, sessionId: null, detail: { replace } },
        ]),
      );
      return { url: `${publicUrl()}/setup/github?setup=${encodeURIComponent(text)}`, expiresAt: token.expiresAt };
    },

    async openSetup(link, organization) {
      const { linkId, replaces, by } = tokens.open('link', link);
      await tokens.refuseUsed(linkId);
      await refuseClosed(store.read, replaces);
      if (organization !== null && !organizationPattern.test(organization)) {
        throw new BerthError('invalid_request', 'not the name of an organisation', { field: 'organization' });
      }
      const { text, token } = tokens.make('state', { linkId, replaces, by });
      return {
        action: registrationUrl(options.webUrl, organization, text),
        manifest: JSON.stringify(manifestFor(publicUrl(), options.readsMembers)),
        state: text,
        expiresAt: token.expiresAt,
        warning: reachabilityWarning(publicUrl(), options.webUrl),
      };
    },

    async finishSetup({ code, state, cookie }, signal) {
      if (!isSameText(state, cookie)) {
        throw new BerthError('forbidden', 'this answer does not belong to a set-up begun in this browser');
      }
      const token = tokens.open('state', state);
      if (!codePattern.test(code)) throw new BerthError('invalid_request', 'not a code of GitHub', { field: 'code' });
      await tokens.refuseUsed(token.linkId);
      await refuseClosed(store.read, token.replaces);
      // Used up before the exchange: GitHub takes the code once, so the same answer has no second use.
      await store.transaction((tx) => tokens.use(tx, token.id));
      const { data } = await callAnonymously(
        options.apiUrl,
        client,
        (octokit, call) => octokit.rest.apps.createFromManifest({ code, ...call }),
        signal,
      );
      if (!data.webhook_secret) throw new BerthError('upstream_failed', 'GitHub registered the App without a webhook secret');
      const record: GithubAppRecord = {
        appId: data.id,
        slug: data.slug ?? data.name,
        name: data.name,
        clientId: data.client_id,
        sealedPrivateKey: await secrets.seal(data.pem, appSecrets.privateKey),
        sealedWebhookSecret: await secrets.seal(data.webhook_secret, appSecrets.webhookSecret),
        sealedClientSecret: await secrets.seal(data.client_secret, appSecrets.clientSecret),
        apiUrl: options.apiUrl,
        htmlUrl: data.html_url,
        createdAt: clock.now().toISOString(),
      };
      return save(
        record,
        token.by,
        async (tx) => {
          await refuseClosed(tx, token.replaces);
          await tokens.use(tx, token.linkId);
        },
        signal,
      );
    },

    async register(given, by, signal) {
      const apiUrl = (given.apiUrl ?? options.apiUrl).replace(/\/+$/, '');
      checkPrivateKey(given.privateKey);
      const identity = { appId: given.appId, privateKey: given.privateKey, slug: '', apiUrl, webUrl: webUrlOf(apiUrl) };
      const data = await createGithubApp(identity, client)
        .asApp(async (octokit, call) => (await octokit.rest.apps.getAuthenticated({ ...call })).data, signal)
        .catch((error: unknown) => {
          throw refusedBy(error);
        });
      if (data === null || data.id !== given.appId) {
        throw new BerthError('invalid_request', 'GitHub knows another App by this key', { field: 'appId' });
      }
      const record: GithubAppRecord = {
        appId: data.id,
        slug: data.slug ?? data.name,
        name: data.name,
        clientId: data.client_id ?? '',
        sealedPrivateKey: await secrets.seal(given.privateKey, appSecrets.privateKey),
        sealedWebhookSecret: await secrets.seal(given.webhookSecret, appSecrets.webhookSecret),
        sealedClientSecret:
          given.clientSecret === undefined ? null : await secrets.seal(given.clientSecret, appSecrets.clientSecret),
        apiUrl,
        htmlUrl: data.html_url,
        createdAt: clock.now().toISOString(),
      };
      return save(record, by, async () => {}, signal);
    },
  };
}

export function viewApp({ appId, slug, name, htmlUrl }: GithubAppRecord): RegisteredApp {
  return { appId, slug, name, htmlUrl, installUrl: `${htmlUrl}/installations/new` };
}

function checkPrivateKey(pem: string): void {
  try {
    if (createPrivateKey(pem).asymmetricKeyType === 'rsa') return;
  } catch {
    // Told below; the parser's own words may hold a part of the key.
  }
  throw new BerthError('invalid_request', 'not the RSA private key, in PEM, that GitHub gave for the App', { field: 'privateKey' });
}

/** GitHub's no to the App itself is the caller's mistake, not GitHub's failure. */
function refusedBy(error: unknown): unknown {
  if (!(error instanceof BerthError)) return error;
  const status = error.context['status'];
  if (status === 401) return new BerthError('invalid_request', 'GitHub does not take this key for this App', { field: 'privateKey', cause: error });
  if (status === 404) return new BerthError('invalid_request', 'GitHub has no App with this id', { field: 'appId', cause: error });
  return error;
}
