import {
  allowInsecureRequests,
  authorizationCodeGrant,
  ClientSecretPost,
  Configuration,
  customFetch,
  fetchProtectedResource,
} from 'openid-client';
import { z } from 'zod';
import type { IdentityProvider, ProvenIdentity } from '../core/ports/identity-provider.ts';
import type { GithubRule } from '../core/users/sign-in/settings.ts';
import { BerthError } from '../protocol/errors.ts';
import { answerUrl, authorizationUrl } from './authorization-url.ts';
import { toSignInFailure } from './failure.ts';
import { orAborted } from './or-aborted.ts';

/** The registered App as an OAuth client. */
export interface GithubClient {
  clientId: string;
  clientSecret: string;
  /** Origin of the pages. */
  webUrl: string;
  apiUrl: string;
}

export interface GithubIdentityOptions {
  /** `null` while no App is registered, or its client secret is not known. */
  client: () => Promise<GithubClient | null>;
  /** The same without opening what is sealed. */
  webUrl: () => Promise<string | null>;
  allow: readonly GithubRule[];
}

const label = 'GitHub';
const timeoutSeconds = 15;

const person = z.object({ id: z.number().int().positive(), login: z.string().min(1), name: z.string().nullish() });
const membership = z.object({ state: z.string() });

/**
 * GitHub by the App's own OAuth client: the web flow with state and PKCE. Accounts are known by their number. The token that
 * GitHub gives is used to ask who it is, and forgotten.
 * https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
 */
export function createGithubIdentity({ client, webUrl, allow }: GithubIdentityOptions): IdentityProvider {
  async function required(): Promise<{ app: GithubClient; configuration: Configuration }> {
    const app = await client();
    if (app === null) {
      throw new BerthError('conflict', 'GitHub cannot be used to sign in: no App with a client secret is registered here');
    }
    return { app, configuration: configurationOf(app) };
  }

  return {
    name: 'github',
    label,
    kind: 'github',
    isReady: async () => (await webUrl()) !== null,
    issuer: webUrl,

    async begin(way) {
      const { configuration } = await required();
      return authorizationUrl(configuration, way, { allow_signup: 'false' });
    },

    async finish(way, query, signal) {
      const { app, configuration } = await required();
      try {
        return await orAborted(prove(app, configuration, answerUrl(way, query), way), signal);
      } catch (error) {
        throw toSignInFailure(error, label);
      }
    },
  };

  async function prove(app: GithubClient, configuration: Configuration, url: URL, way: { codeVerifier: string; state: string }): Promise<ProvenIdentity> {
    const tokens = await authorizationCodeGrant(configuration, url, { pkceCodeVerifier: way.codeVerifier, expectedState: way.state });
    const ask = (path: string) => askGithub(configuration, tokens.access_token, `${app.apiUrl}${path}`);
    const who = person.parse((await ask('/user')).body);
    const { admission, refusal } = await admit(who, ask);
    return {
      issuer: app.webUrl,
      subject: String(who.id),
      label: who.login,
      displayName: who.name?.trim().slice(0, 100) || null,
      names: [who.login],
      admission,
      refusal,
    };
  }

  async function admit(who: z.infer<typeof person>, ask: (path: string) => Promise<Answer>): Promise<Pick<ProvenIdentity, 'admission' | 'refusal'>> {
    let refusal = `GitHub account ${who.login} is not one of those that may sign in`;
    for (const rule of allow) {
      const { role, teams } = rule;
      if ('id' in rule && rule.id === who.id) return { admission: { role, teams }, refusal };
      if ('account' in rule && rule.account.toLowerCase() === who.login.toLowerCase()) return { admission: { role, teams }, refusal };
      if (!('organization' in rule)) continue;
      const { status, body } = await ask(`/user/memberships/orgs/${encodeURIComponent(rule.organization)}`);
      // An invitation that was not accepted is `pending`.
      if (status === 200 && membership.safeParse(body).data?.state === 'active') return { admission: { role, teams }, refusal };
      if (status === 403) refusal += `; GitHub does not tell who is in ${rule.organization}: the App has to be installed there with the permission "Members"`;
    }
    return { admission: null, refusal };
  }
}

interface Answer {
  status: number;
  body: unknown;
}

async function askGithub(configuration: Configuration, token: string, url: string): Promise<Answer> {
  const headers = new Headers({ accept: 'application/vnd.github+json', 'user-agent': 'berth', 'x-github-api-version': '2022-11-28' });
  const response = await fetchProtectedResource(configuration, token, new URL(url), 'GET', null, headers);
  const { status } = response;
  const body: unknown = await response.json().catch(() => null);
  if (status === 200 || status === 403 || status === 404) return { status, body };
  throw new BerthError('upstream_failed', `GitHub answered ${status}; try again later`, { context: { status } });
}

/** GitHub says no with 200, where RFC 6749 (section 5.2) has 400: the library would take it for nonsense. */
async function refusalAsSpecified(response: Response): Promise<Response> {
  if (response.status !== 200) return response;
  const body: unknown = await response.clone().json().catch(() => null);
  return z.object({ error: z.string() }).safeParse(body).success ? Response.json(body, { status: 400 }) : response;
}

function configurationOf({ clientId, clientSecret, webUrl }: GithubClient): Configuration {
  const issuer = `${webUrl}/login/oauth`;
  const configuration = new Configuration(
    { issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/access_token` },
    clientId,
    undefined,
    ClientSecretPost(clientSecret),
  );
  configuration.timeout = timeoutSeconds;
  configuration[customFetch] = async (url, options) => {
    const response = await fetch(url, options as RequestInit);
    return url.startsWith(`${issuer}/access_token`) ? refusalAsSpecified(response) : response;
  };
  // oxlint-disable-next-line typescript/no-deprecated -- marked so to be noticed: an Enterprise Server's address is the owner's to say
  if (webUrl.startsWith('http:')) allowInsecureRequests(configuration);
  return configuration;
}
