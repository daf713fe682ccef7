import {
  allowInsecureRequests,
  authorizationCodeGrant,
  ClientSecretBasic,
  ClientSecretPost,
  discovery,
  fetchUserInfo,
  None,
  type ClientAuth,
  type Configuration,
} from 'openid-client';
import type { IdentityProvider, ProvenIdentity } from '../core/ports/identity-provider.ts';
import type { OidcRule, OidcSettings } from '../core/users/sign-in/settings.ts';
import { BerthError } from '../protocol/errors.ts';
import { answerUrl, authorizationUrl } from './authorization-url.ts';
import { toDiscoveryFailure, toSignInFailure } from './failure.ts';
import { readClaims, type IdentityClaims } from './oidc-claims.ts';
import { orAborted } from './or-aborted.ts';

export interface OidcOptions {
  settings: OidcSettings;
  /** `null`: a public client. */
  clientSecret: string | null;
  now: () => Date;
}

/** For each request to the provider. */
const timeoutSeconds = 15;
/** What the provider says of itself is asked anew after this. */
const discoveryLifeMs = 60 * 60_000;

/** An OpenID Connect provider, by its discovery document: code flow with PKCE, state and nonce; the ID token is verified. */
export function createOidcProvider({ settings, clientSecret, now }: OidcOptions): IdentityProvider {
  const { name, label, groupsClaim } = settings;
  const issuerUrl = new URL(settings.issuer);
  let known: { configuration: Promise<Configuration>; until: number } | null = null;

  function configuration(): Promise<Configuration> {
    if (known !== null && known.until > now().getTime()) return known.configuration;
    const found = discovery(issuerUrl, settings.clientId, undefined, clientAuth(clientSecret), {
      timeout: timeoutSeconds,
      // oxlint-disable-next-line typescript/no-deprecated -- marked so to be noticed: the settings allow http on loopback alone
      ...(issuerUrl.protocol === 'http:' && { execute: [allowInsecureRequests] }),
    });
    const told = found.catch((error: unknown) => {
      throw toDiscoveryFailure(error, label);
    });
    const entry = { configuration: told, until: now().getTime() + discoveryLifeMs };
    known = entry;
    // What failed is asked anew by the next who comes.
    told.catch(() => {
      if (known === entry) known = null;
    });
    return told;
  }

  return {
    name,
    label,
    kind: 'oidc',
    isReady: async () => true,
    issuer: async () => issuerUrl.href.replace(/\/$/, ''),

    async begin(way, signal) {
      try {
        const scope = [...new Set(['openid', ...settings.scopes])].join(' ');
        const config = await orAborted(configuration(), signal);
        return await authorizationUrl(config, way, { scope, nonce: way.nonce });
      } catch (error) {
        throw toSignInFailure(error, label);
      }
    },

    async finish(way, query, signal) {
      try {
        const config = await orAborted(configuration(), signal);
        const claims = await orAborted(proveClaims(config, answerUrl(way, query), way), signal);
        return identityOf(claims);
      } catch (error) {
        throw toSignInFailure(error, label);
      }
    },
  };

  async function proveClaims(config: Configuration, url: URL, way: { codeVerifier: string; state: string; nonce: string }): Promise<IdentityClaims> {
    const tokens = await authorizationCodeGrant(config, url, {
      pkceCodeVerifier: way.codeVerifier,
      expectedState: way.state,
      expectedNonce: way.nonce,
      idTokenExpected: true,
    });
    const token = tokens.claims();
    if (token === undefined) throw new BerthError('upstream_failed', `${label} sent no ID token`);
    const hasUserInfo = config.serverMetadata().userinfo_endpoint !== undefined;
    const userInfo = hasUserInfo ? await fetchUserInfo(config, tokens.access_token, token.sub) : {};
    return readClaims(token, userInfo, groupsClaim);
  }

  function identityOf(claims: IdentityClaims): ProvenIdentity {
    const { email } = claims;
    const rule = settings.allow.find((each) => fits(each, claims));
    const shown = email?.address ?? claims.username ?? claims.subject;
    const unverified = email !== null && !email.verified ? ` (its address ${email.address} is not verified there)` : '';
    return {
      issuer: issuerUrl.href.replace(/\/$/, ''),
      subject: claims.subject,
      label: shown,
      displayName: claims.name,
      names: [claims.username ?? '', email?.address.split('@')[0] ?? '', claims.name ?? ''].map((each) => each.split('@')[0]!),
      admission: rule === undefined ? null : { role: rule.role, teams: rule.teams },
      refusal: `${label} account ${shown} is not one of those that may sign in${unverified}`,
    };
  }
}

function fits(rule: OidcRule, { subject, email, groups }: IdentityClaims): boolean {
  // Whoever can write an address into his profile has not got that address.
  const address = email?.verified === true ? email.address.toLowerCase() : null;
  if ('subject' in rule) return rule.subject === subject;
  if ('group' in rule) return groups.includes(rule.group);
  if ('email' in rule) return rule.email === address;
  return address !== null && address.slice(address.lastIndexOf('@') + 1) === rule.domain;
}

/** As the provider says it takes secrets; where it says nothing the specification has `basic`. */
function clientAuth(secret: string | null): ClientAuth {
  if (secret === null) return None();
  const [basic, post] = [ClientSecretBasic(secret), ClientSecretPost(secret)];
  return (server, ...rest) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    return (methods.includes('client_secret_basic') ? basic : post)(server, ...rest);
  };
}
