import type { Context, MiddlewareHandler } from 'hono';
import type { Core } from '../../core/create-core.ts';
import type { Logger } from '../../core/ports/logger.ts';
import type { Store } from '../../core/ports/store.ts';
import type { Claim } from '../../core/users/claims.ts';
import type { Principal } from '../../core/users/principal.ts';
import { asBerthError } from '../../protocol/errors.ts';
import { tokenHashOf } from '../auth.ts';
import type { AppEnv, BrowserAccess } from '../context.ts';
import type { RequestLimits } from '../limits/request-limits.ts';
import { findClaims, handlersOf } from './find-claims.ts';
import { createOpenRequests, type Connection } from './open-requests.ts';
import { routeRules } from './route-rules.ts';

export interface PolicyDependencies {
  core: Pick<Core, 'accounts'>;
  store: Store;
  browser: BrowserAccess;
  logger: Logger;
  limits: RequestLimits;
}

interface Admitted {
  tokenHash: string;
  principal: Principal;
}

const pages = 'GET /*';

/**
 * The one place that lets requests in: every handler that a request may come to has a rule in `route-rules.ts`, and all
 * of them must let it pass. It stands before all handlers.
 */
export function enforcePolicy({ core, store, browser, logger, limits }: PolicyDependencies): MiddlewareHandler<AppEnv> {
  const { accounts } = core;
  const requests = createOpenRequests(logger);
  accounts.onNarrowed(() => void requests.recheck());

  async function admit(c: Context<AppEnv>, claims: readonly Claim[], routes: readonly string[]): Promise<Admitted> {
    let tokenHash: string | null = null;
    try {
      tokenHash = tokenHashOf(c, browser);
      return { tokenHash, principal: await accounts.admit(tokenHash, claims) };
    } catch (cause) {
      if (tokenHash === null || asBerthError(cause).code === 'unauthorized') await limits.stranger(c, routes);
      else await limits.refused(c, tokenHash);
      throw cause;
    }
  }

  return async (c, next) => {
    const handlers = handlersOf(c);
    const claims = await findClaims(c, store.read, routeRules, handlers);
    // What the API has no handler for is said to those only who may ask.
    const isUnknown = c.req.path.startsWith('/api/') && handlers.every(({ route }) => route === pages);
    const routes = handlers.map(({ route }) => route);
    if (claims.length === 0 && !isUnknown) {
      await limits.stranger(c, routes);
      return next();
    }

    const { tokenHash, principal } = await admit(c, claims, routes);
    await limits.known(c, routes, principal, tokenHash);
    c.set('identity', principal);
    c.set('tokenHash', tokenHash);
    accounts.noteUse(principal);
    requests.add(c.env as Connection | undefined, () => accounts.admitStill(tokenHash, claims));
    await next();
  };
}
