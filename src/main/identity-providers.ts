import type { Clock } from '../core/ports/clock.ts';
import type { IdentityProvider } from '../core/ports/identity-provider.ts';
import type { OauthClients } from '../github/oauth-client.ts';
import type { SignInConfig } from './read-sign-in.ts';

/** The services of the configuration, GitHub first. Their library is loaded where there is one. */
export async function openIdentityProviders(
  { settings, clientSecrets }: SignInConfig,
  oauth: OauthClients,
  clock: Clock,
): Promise<IdentityProvider[]> {
  const { github, oidc } = settings;
  const providers: IdentityProvider[] = [];
  if (github !== undefined) {
    const { createGithubIdentity } = await import('../identity/github.ts');
    providers.push(createGithubIdentity({ client: oauth.current, webUrl: oauth.webUrl, allow: github.allow }));
  }
  if (oidc.length > 0) {
    const { createOidcProvider } = await import('../identity/oidc.ts');
    for (const each of oidc) {
      const clientSecret = clientSecrets.get(each.name) ?? null;
      providers.push(createOidcProvider({ settings: each, clientSecret, now: () => clock.now() }));
    }
  }
  return providers;
}
