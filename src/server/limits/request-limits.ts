import type { Context } from 'hono';
import type { Principal } from '../../core/users/principal.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { AppEnv } from '../context.ts';
import { clientAddress, type IsTrustedProxy } from './client-address.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { limitOfRoute, unlimitedRoutes, type RateLimitName } from './rate-limits.ts';

/** Refuses what comes too often: `rate_limited`, with how long to wait. What another server forwards was counted there. */
export interface RequestLimits {
  /** A request that needs no token, or that has none which counts. */
  stranger(c: Context<AppEnv>, routes: readonly string[]): Promise<void>;
  known(c: Context<AppEnv>, routes: readonly string[], principal: Principal, tokenHash: string): Promise<void>;
  /** One whose token counts, and who may not do what he asks. */
  refused(c: Context<AppEnv>, tokenHash: string): Promise<void>;
  /** A prompt that came over a socket. */
  prompt(user: string): Promise<void>;
  /** Where a request is from, by which strangers are counted. */
  addressOf(c: Context<AppEnv>): string;
}

export function noLimits(isTrustedProxy: IsTrustedProxy): RequestLimits {
  const addressOf = (c: Context<AppEnv>) => clientAddress(c, isTrustedProxy);
  return { async stranger() {}, async known() {}, async refused() {}, async prompt() {}, addressOf };
}

export function createRequestLimits(limiter: RateLimiter, isTrustedProxy: IsTrustedProxy): RequestLimits {
  async function take(name: RateLimitName, key: string): Promise<void> {
    const waitMs = await limiter.take(name, key);
    if (waitMs === null) return;
    const retryAfterSeconds = Math.ceil(waitMs / 1000);
    throw new BerthError('rate_limited', `too many requests (${name}); try again in ${retryAfterSeconds} s`, {
      context: { limit: name, retryAfterSeconds },
    });
  }

  const isUnlimited = (c: Context<AppEnv>, routes: readonly string[]): boolean =>
    c.get('forwarded') !== undefined || routes.some((route) => unlimitedRoutes.includes(route));

  const namesOf = (routes: readonly string[]): Set<'signin' | 'sessions' | 'prompts'> =>
    new Set(routes.flatMap((route) => (Object.hasOwn(limitOfRoute, route) ? [limitOfRoute[route]!] : [])));

  return {
    async stranger(c, routes) {
      if (isUnlimited(c, routes)) return;
      const address = clientAddress(c, isTrustedProxy);
      await take('public', address);
      if (namesOf(routes).has('signin')) await take('signin', address);
    },

    async known(c, routes, { user }, tokenHash) {
      if (isUnlimited(c, routes)) return;
      await take('token', tokenHash);
      await take('user', user);
      for (const name of namesOf(routes)) await take(name, user);
    },

    async refused(c, tokenHash) {
      if (c.get('forwarded') === undefined) await take('token', tokenHash);
    },

    prompt: (user) => take('prompts', user),
    addressOf: (c) => clientAddress(c, isTrustedProxy),
  };
}
