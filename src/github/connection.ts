import type { SecretVault } from '../core/ports/secrets.ts';
import type { GithubAppRecord, Store } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import { appSecrets } from './app-secrets.ts';
import { createGithubApp, type ClientOptions, type GithubApp } from './app.ts';

/** The App that is registered now, whichever that is. */
export interface Connection {
  /** `null` while none is registered. */
  current(): Promise<GithubApp | null>;
  /** Throws `not_found` while none is registered. */
  require(): Promise<GithubApp>;
}

export function createConnection(store: Store, secrets: SecretVault, options: ClientOptions): Connection {
  let latest: { record: GithubAppRecord; app: GithubApp } | null = null;

  async function current(): Promise<GithubApp | null> {
    const record = await store.read.githubApp();
    if (record === null) return null;
    if (latest === null || !isSame(latest.record, record)) {
      latest = {
        record,
        app: createGithubApp(
          {
            appId: record.appId,
            privateKey: await secrets.open(record.sealedPrivateKey, appSecrets.privateKey),
            slug: record.slug,
            apiUrl: record.apiUrl,
            webUrl: new URL(record.htmlUrl).origin,
          },
          options,
        ),
      };
    }
    return latest.app;
  }

  return {
    current,
    async require() {
      const app = await current();
      if (app === null) throw new BerthError('not_found', 'no GitHub App is registered; see berth up or /api/github/setup-link');
      return app;
    },
  };
}

/** Sealing is never the same twice, so a record that was saved anew is another. */
function isSame(one: GithubAppRecord, other: GithubAppRecord): boolean {
  return one.appId === other.appId && one.sealedPrivateKey === other.sealedPrivateKey && one.apiUrl === other.apiUrl;
}
