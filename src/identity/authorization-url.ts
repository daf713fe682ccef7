import { buildAuthorizationUrl, calculatePKCECodeChallenge, type Configuration } from 'openid-client';
import type { IdentityWay } from '../core/ports/identity-provider.ts';

/** Where the browser goes, with what ties the answer to it: a state, and a challenge that only the verifier's holder meets. */
export async function authorizationUrl(
  configuration: Configuration,
  { redirectUrl, state, codeVerifier }: IdentityWay,
  parameters: Record<string, string>,
): Promise<string> {
  return buildAuthorizationUrl(configuration, {
    response_type: 'code',
    redirect_uri: redirectUrl,
    state,
    code_challenge: await calculatePKCECodeChallenge(codeVerifier),
    code_challenge_method: 'S256',
    ...parameters,
  }).href;
}

/** The address that the browser came back to, as the service was told it: a proxy may have changed the one that arrived. */
export function answerUrl({ redirectUrl }: IdentityWay, query: string): URL {
  const url = new URL(redirectUrl);
  url.search = query;
  return url;
}
