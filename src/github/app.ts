import { App, Octokit } from 'octokit';
import type { Clock } from '../core/ports/clock.ts';
import type { Logger } from '../core/ports/logger.ts';
import { isBadToken, toBerthError } from './failure.ts';

/** One registered App, as a client of GitHub. Throws what `failure.ts` maps to. */
export interface GithubApp {
  readonly appId: number;
  /** The login of what the App writes. */
  readonly botLogin: string;
  /** Origin of the pages and of git. */
  readonly webUrl: string;
  asApp<T>(send: Send<T>, signal: AbortSignal): Promise<T>;
  asInstallation<T>(installationId: number, send: Send<T>, signal: AbortSignal): Promise<T>;
  /** A token good for one repository and for nothing but its content. Kept by the library until shortly before its end. */
  repositoryToken(
    installationId: number,
    repository: string,
    contents: 'read' | 'write',
    signal: AbortSignal,
  ): Promise<string>;
}

/** Sends requests; each must be given `call`, which holds the signal. */
export type Send<T> = (octokit: Octokit, call: Call) => Promise<T>;
export interface Call {
  request: { signal: AbortSignal };
}

export interface ClientOptions {
  clock: Clock;
  logger: Logger;
  /** Whether to keep the distance between writes that GitHub asks for. Default true. */
  pacing?: boolean;
}

/** For all that belongs to one call: waiting for its turn, a token, and a few pages of an answer. */
const callTimeoutMs = 60_000;
/** For one answer; GitHub itself gives up after ten seconds. */
const answerTimeoutMs = 20_000;

export interface AppIdentity {
  appId: number;
  privateKey: string;
  slug: string;
  apiUrl: string;
  webUrl: string;
}

export function createGithubApp(identity: AppIdentity, options: ClientOptions): GithubApp {
  const app = new App({
    appId: identity.appId,
    privateKey: identity.privateKey,
    Octokit: octokitFor(identity.apiUrl, options, `app-${identity.appId}`),
  });
  const installations = new Map<number, Promise<Octokit>>();
  const bounded = <T>(send: Send<T>, octokit: () => Promise<Octokit>, signal: AbortSignal) =>
    callWithin(options.clock, signal, async (call) => send(await octokit(), call));

  function installation(id: number): Promise<Octokit> {
    let octokit = installations.get(id);
    if (octokit === undefined) {
      octokit = app.getInstallationOctokit(id) as Promise<Octokit>;
      installations.set(id, octokit);
    }
    return octokit;
  }

  return {
    appId: identity.appId,
    botLogin: `${identity.slug}[bot]`,
    webUrl: identity.webUrl,
    asApp: (send, signal) => bounded(send, async () => app.octokit as Octokit, signal),
    async asInstallation(id, send, signal) {
      try {
        return await bounded(send, () => installation(id), signal);
      } catch (error) {
        if (!isBadToken(error)) throw error;
      }
      // The library believes in a token until its time is over; GitHub may have ended it before.
      await bounded(
        (octokit) => octokit.auth({ type: 'installation', installationId: id, refresh: true }),
        () => installation(id),
        signal,
      );
      return bounded(send, () => installation(id), signal);
    },
    async repositoryToken(installationId, repository, contents, signal) {
      const auth = await bounded(
        (octokit) =>
          octokit.auth({
            type: 'installation',
            installationId,
            repositoryNames: [repository],
            permissions: { contents },
          }) as Promise<{ token: string }>,
        async () => app.octokit as Octokit,
        signal,
      );
      return auth.token;
    },
  };
}

/** Calls GitHub as nobody: for what a one-time code alone allows. */
export function callAnonymously<T>(
  apiUrl: string,
  options: ClientOptions,
  send: Send<T>,
  signal: AbortSignal,
): Promise<T> {
  const octokit = new (octokitFor(apiUrl, options, 'anonymous'))();
  return callWithin(options.clock, signal, (call) => send(octokit, call));
}

async function callWithin<T>(clock: Clock, signal: AbortSignal, use: (call: Call) => Promise<T>): Promise<T> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]);
  try {
    limit.throwIfAborted();
    // Raced, for the library waits in places that take no signal: its queues, and the making of a token.
    return await Promise.race([use({ request: { signal: limit } }), rejectOn(limit)]);
  } catch (error) {
    throw toBerthError(error, limit, clock.now());
  }
}

function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

/**
 * The library's retries are off: they would repeat a comment whose answer was lost. Its rate limit
 * handling never waits: the caller gets `rate_limited` with the time, and tasks and deliveries come
 * back by themselves. What stays is the pace of writes that GitHub asks for.
 */
function octokitFor(apiUrl: string, { logger, pacing = true }: ClientOptions, id: string): typeof Octokit {
  const never = () => false;
  return Octokit.defaults({
    baseUrl: apiUrl,
    userAgent: 'berth',
    retry: { enabled: false },
    throttle: pacing ? { id, onRateLimit: never, onSecondaryRateLimit: never } : { enabled: false },
    request: { fetch: fetchWithin },
    log: {
      debug: () => {},
      info: () => {},
      warn: (message: string) => logger.warn({ message }, 'octokit'),
      error: (message: string) => logger.warn({ message }, 'octokit'),
    },
  });
}

function fetchWithin(url: string, init: RequestInit = {}): Promise<Response> {
  const limit = AbortSignal.timeout(answerTimeoutMs);
  return fetch(url, { ...init, signal: init.signal == null ? limit : AbortSignal.any([init.signal, limit]) });
}
