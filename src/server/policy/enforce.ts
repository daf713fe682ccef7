import type { MiddlewareHandler } from 'hono';
import type { Core } from '../../core/create-core.ts';
import type { Logger } from '../../core/ports/logger.ts';
import type { Store } from '../../core/ports/store.ts';
import { requireClaim } from '../../core/users/claims.ts';
import { identify } from '../../core/users/principal.ts';
import { tokenHashOf } from '../auth.ts';
import type { AppEnv, BrowserAccess } from '../context.ts';
import { findClaims, handlersOf } from './find-claims.ts';
import { createOpenRequests, type Connection } from './open-requests.ts';
import { routeRules } from './route-rules.ts';

export interface PolicyDependencies {
  core: Pick<Core, 'accounts'>;
  store: Store;
  browser: BrowserAccess;
  logger: Logger;
}

const pages = 'GET /*';

/**
 * The one place that lets requests in: every handler that a request may come to has a rule in `route-rules.ts`, and all
 * of them must let it pass. It stands before all handlers.
 */
export function enforcePolicy({ core, store, browser, logger }: PolicyDependencies): MiddlewareHandler<AppEnv> {
  const { accounts } = core;
  const requests = createOpenRequests(logger);
  accounts.onChange(() => requests.recheck());

  return async (c, next) => {
    const handlers = handlersOf(c);
    const claims = await findClaims(c, store.read, routeRules, handlers);
    // What the API has no handler for is said to those only who may ask.
    const isUnknown = c.req.path.startsWith('/api/') && handlers.every(({ route }) => route === pages);
    if (claims.length === 0 && !isUnknown) return next();

    const tokenHash = tokenHashOf(c, browser);
    const require = async () => {
      const principal = await identify(store.read, tokenHash, accounts.now());
      for (const claim of claims) await requireClaim(store.read, principal, claim);
      return principal;
    };
    const principal = await require();
    c.set('identity', principal);
    c.set('tokenHash', tokenHash);
    accounts.noteUse(principal.tokenId);
    requests.add(c.env as Connection | undefined, require);
    await next();
  };
}
