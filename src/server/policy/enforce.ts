import type { MiddlewareHandler } from 'hono';
import type { Core } from '../../core/create-core.ts';
import type { Logger } from '../../core/ports/logger.ts';
import type { Store } from '../../core/ports/store.ts';
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
  accounts.onNarrowed(() => void requests.recheck());

  return async (c, next) => {
    const handlers = handlersOf(c);
    const claims = await findClaims(c, store.read, routeRules, handlers);
    // What the API has no handler for is said to those only who may ask.
    const isUnknown = c.req.path.startsWith('/api/') && handlers.every(({ route }) => route === pages);
    if (claims.length === 0 && !isUnknown) return next();

    const tokenHash = tokenHashOf(c, browser);
    const principal = await accounts.admit(tokenHash, claims);
    c.set('identity', principal);
    c.set('tokenHash', tokenHash);
    accounts.noteUse(principal);
    requests.add(c.env as Connection | undefined, () => accounts.admitStill(tokenHash, claims));
    await next();
  };
}
