import type { SecretVault } from '../core/ports/secrets.ts';
import type { Store } from '../core/ports/store.ts';
import { appSecrets } from './app-secrets.ts';

/** The App as a client of GitHub's OAuth, by which people sign in. */
export interface OauthClient {
  clientId: string;
  clientSecret: string;
  /** Origin of the pages. */
  webUrl: string;
  apiUrl: string;
}

export interface OauthClients {
  /** `null` while no App is registered, or one whose client secret was not given. */
  current(): Promise<OauthClient | null>;
  /** The origin of its pages, without opening the secret. `null` as above. */
  webUrl(): Promise<string | null>;
}

export function createOauthClients(store: Store, secrets: SecretVault): OauthClients {
  return {
    async current() {
      const record = await store.read.githubApp();
      if (record === null || record.sealedClientSecret === null) return null;
      return {
        clientId: record.clientId,
        clientSecret: await secrets.open(record.sealedClientSecret, appSecrets.clientSecret),
        webUrl: new URL(record.htmlUrl).origin,
        apiUrl: record.apiUrl,
      };
    },
    async webUrl() {
      const record = await store.read.githubApp();
      return record === null || record.sealedClientSecret === null ? null : new URL(record.htmlUrl).origin;
    },
  };
}
