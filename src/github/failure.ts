import { RequestError } from 'octokit';
import { asBerthError, BerthError, type ErrorCode } from '../protocol/errors.ts';

const codes: Record<number, ErrorCode> = {
  401: 'upstream_failed',
  403: 'forbidden',
  404: 'not_found',
  408: 'timeout',
  409: 'conflict',
  410: 'not_found',
  422: 'invalid_request',
  429: 'rate_limited',
  451: 'forbidden',
};

/**
 * Every failure of a call to GitHub as one of ours, by type, status and headers. The context holds the
 * status, what was called, and of a rate limit `retryAfterMs` where GitHub says it.
 */
export function toBerthError(error: unknown, signal: AbortSignal, now: Date): BerthError {
  if (error instanceof BerthError) return error;
  if (signal.aborted) {
    const reason = asBerthError(signal.reason);
    return reason.code === 'internal' ? new BerthError('cancelled', 'the operation was cancelled', { cause: error }) : reason;
  }
  if (!(error instanceof RequestError)) return asBerthError(error);
  const called = `${error.request.method} ${pathOf(error.request.url)}`;
  if (error.response === undefined) {
    if (error.cause instanceof Error && error.cause.name === 'TimeoutError') {
      return new BerthError('timeout', `GitHub did not answer ${called} in time`, { cause: error });
    }
    return new BerthError('unavailable', `GitHub could not be reached for ${called}`, { cause: error });
  }
  const limited = isRateLimit(error);
  const code = limited ? 'rate_limited' : (codes[error.status] ?? (error.status >= 500 || error.status < 400 ? 'upstream_failed' : 'invalid_request'));
  const retryAfterMs = limited ? retryAfterMsOf(error, now) : null;
  return new BerthError(code, `GitHub answered ${error.status} to ${called}`, {
    context: { status: error.status, called, ...(retryAfterMs === null ? {} : { retryAfterMs }) },
    cause: error,
  });
}

/** Whether the installation itself is gone or was made anew, rather than what was asked for. */
export function isInstallationGone(error: unknown): boolean {
  if (!(error instanceof BerthError) || !(error.cause instanceof RequestError)) return false;
  return error.cause.status === 404 && /\/app\/installations\/\d+\/access_tokens$/.test(error.cause.request.url);
}

/** A token that is not good any more, though the library still holds it. */
export function isBadToken(error: unknown): boolean {
  return error instanceof BerthError && error.cause instanceof RequestError && error.cause.status === 401;
}

/** GitHub answers 403 for both of its limits; headers, or the page it refers to, tell them from a missing permission. */
function isRateLimit(error: RequestError): boolean {
  if (error.status === 429) return true;
  if (error.status !== 403) return false;
  const headers = error.response?.headers ?? {};
  if (headers['retry-after'] !== undefined || headers['x-ratelimit-remaining'] === '0') return true;
  const page = (error.response?.data as { documentation_url?: unknown } | undefined)?.documentation_url;
  return typeof page === 'string' && page.includes('rate-limit');
}

function retryAfterMsOf(error: RequestError, now: Date): number | null {
  const headers = error.response?.headers ?? {};
  const seconds = Number(headers['retry-after']);
  if (headers['retry-after'] !== undefined && Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const reset = Number(headers['x-ratelimit-reset']);
  if (headers['x-ratelimit-remaining'] !== '0' || !Number.isFinite(reset)) return null;
  return Math.max(0, reset * 1000 - now.getTime()) + 1000;
}

/** Without the query, which may hold what a person wrote. */
function pathOf(url: string): string {
  return URL.canParse(url) ? new URL(url).pathname : '';
}
