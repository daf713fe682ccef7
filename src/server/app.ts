import { randomUUID } from 'node:crypto';
import { bodyLimit } from 'hono/body-limit';
import { secureHeaders } from 'hono/secure-headers';
import { BerthError } from '../protocol/errors.ts';
import { createRouter, type AppDependencies, type Router } from './context.ts';
import { createErrorHandler, notFoundHandler } from './errors.ts';
import { noLimits } from './limits/request-limits.ts';
import { enforcePolicy } from './policy/enforce.ts';
import { auditRoutes } from './routes/audit.ts';
import { agentRoutes } from './routes/agents.ts';
import { budgetRoutes } from './routes/budgets.ts';
import { deviceRoutes } from './routes/devices.ts';
import { eventRoutes } from './routes/events.ts';
import { fileRoutes } from './routes/files.ts';
import { healthRoutes } from './routes/health.ts';
import { hostRoutes } from './routes/hosts.ts';
import { loginRoutes, signInRoutes } from './routes/login.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { portRoutes } from './routes/ports.ts';
import { previewRoutes } from './routes/previews.ts';
import { processRoutes } from './routes/processes.ts';
import { queueRoutes } from './routes/queue.ts';
import { quotaRoutes } from './routes/quotas.ts';
import { sessionRoutes } from './routes/sessions.ts';
import { shareRoutes } from './routes/shares.ts';
import { snapshotRoutes } from './routes/snapshots.ts';
import { teamRoutes } from './routes/teams.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { turnRoutes } from './routes/turns.ts';
import { userRoutes } from './routes/users.ts';
import { workspaceRoutes } from './routes/workspace.ts';

/** Largest JSON body; files and ports have routes of their own that stream, webhooks a limit of their own. */
const maxJsonBytes = 16 * 1024 * 1024;
const ownLimitPath = /^(?:\/api\/sessions\/[^/]+\/files\/content|\/api\/sessions\/[^/]+\/ports\/.*|\/webhooks\/[^/]+)$/;

/** A part of the server that brings its own routes. */
export type Extension = (app: Router) => void;

export interface Extensions {
  /** Before the API's own routes: webhooks, pages. */
  public?: readonly Extension[];
  /** After them. Who may call what is in `policy/route-rules.ts` for all. */
  authenticated?: readonly Extension[];
}

/** The HTTP application; pure wiring, so that tests can call `app.request()`. */
export function createApp(deps: AppDependencies, extensions: Extensions = {}): Router {
  const app = createRouter();
  app.onError(createErrorHandler(deps.logger));
  app.notFound(notFoundHandler);
  app.use(secureHeaders());
  app.use(async (c, next) => {
    c.set('requestId', randomUUID());
    await next();
  });
  const limit = bodyLimit({
    maxSize: maxJsonBytes,
    onError: () => {
      throw new BerthError('payload_too_large', `a body has at most ${maxJsonBytes} bytes`, { field: 'body' });
    },
  });
  app.use((c, next) => (ownLimitPath.test(c.req.path) ? next() : limit(c, next)));
  if (deps.forwarding !== undefined) app.use('/api/*', deps.forwarding.accept);
  const limits = deps.limits ?? noLimits(() => false);
  app.use(enforcePolicy({ ...deps, limits }));
  if (deps.forwarding !== undefined) app.use('/api/*', deps.forwarding.forward);

  healthRoutes(app, deps);
  for (const extend of extensions.public ?? []) extend(app);
  app.doc31('/api/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'Berth', version: deps.version, description: 'Sandboxes for coding agents that keep their disk and processes.' },
  });
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer' });

  signInRoutes(app, deps);
  loginRoutes(app, deps);
  agentRoutes(app, deps);
  sessionRoutes(app, deps);
  snapshotRoutes(app, deps);
  turnRoutes(app, deps);
  shareRoutes(app, deps);
  userRoutes(app, deps);
  teamRoutes(app, deps);
  tokenRoutes(app, deps);
  deviceRoutes(app, { ...deps, limits });
  queueRoutes(app, deps);
  hostRoutes(app, deps);
  budgetRoutes(app, deps);
  quotaRoutes(app, deps);
  metricsRoutes(app, deps);
  auditRoutes(app, deps);
  eventRoutes(app, deps);
  workspaceRoutes(app, deps);
  fileRoutes(app, deps);
  processRoutes(app, deps);
  // Before whatever else is asked of a port.
  previewRoutes(app, deps);
  portRoutes(app, deps);
  for (const extend of extensions.authenticated ?? []) extend(app);
  return app;
}
