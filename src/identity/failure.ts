import { AuthorizationResponseError, ClientError, ResponseBodyError, WWWAuthenticateChallengeError } from 'openid-client';
import { BerthError } from '../protocol/errors.ts';

/** A service's no in its answer to the browser; what it is called goes into messages, so only what RFC 6749 gives. */
const refusalCode = /^[a-z_]{1,50}$/;
/** Nothing came, or it came too late. */
const silent = ['OAUTH_TIMEOUT', 'OAUTH_ABORT', 'OAUTH_RESPONSE_IS_NOT_CONFORM'];

/** As below, of what a provider says of itself, before anybody was sent there. */
export function toDiscoveryFailure(error: unknown, service: string): BerthError {
  const failure = toSignInFailure(error, service);
  if (failure.code !== 'forbidden') return failure;
  const message = `${service} does not describe itself as the configuration has it: an owner has to check its issuer`;
  return new BerthError('upstream_failed', message, { cause: error, context: failure.context });
}

/** What the library throws, by type and code: as the person is to hear it. `service`: the provider's label. */
export function toSignInFailure(error: unknown, service: string): BerthError {
  if (error instanceof BerthError) return error;
  const again = 'Go back and begin again';
  if (error instanceof AuthorizationResponseError) {
    const code = refusalCode.test(error.error) ? error.error : 'an error';
    const said = code === 'access_denied' ? `you were not let in by ${service}, or did not agree` : `${service} answered ${code}`;
    return new BerthError('forbidden', `${said}. ${again}`, { cause: error, context: { service, answer: code } });
  }
  if (error instanceof ResponseBodyError || error instanceof WWWAuthenticateChallengeError) {
    const code = error instanceof ResponseBodyError && refusalCode.test(error.error) ? error.error : 'an error';
    const context = { service, answer: code, status: error.status };
    if (code === 'invalid_grant' || code === 'bad_verification_code') {
      return new BerthError('forbidden', `${service} does not take this answer (any more). ${again}`, { cause: error, context });
    }
    const message = `${service} refuses Berth itself (${code}): an owner has to check the client's id and secret`;
    return new BerthError('upstream_failed', message, { cause: error, context });
  }
  if (error instanceof ClientError && error.code !== undefined) {
    const context = { service, answer: error.code };
    if (silent.includes(error.code)) return new BerthError('unavailable', `${service} does not answer; try again later`, { cause: error, context });
    return new BerthError('forbidden', `what came from ${service} is not an answer to this sign-in. ${again}`, { cause: error, context });
  }
  if (!(error instanceof TypeError)) {
    return new BerthError('upstream_failed', `${service} answered what Berth does not understand`, { cause: error, context: { service } });
  }
  // The library's requests fail as `fetch` does.
  return new BerthError('unavailable', `${service} cannot be reached; try again later`, { cause: error, context: { service } });
}
