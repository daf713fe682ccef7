import { createRoute } from '@hono/zod-openapi';
import { serverHealth } from '../../protocol/api.ts';
import type { AppDependencies, Router } from '../context.ts';
import { json } from '../schemas.ts';

export function healthRoutes(app: Router, deps: AppDependencies): void {
  app.openapi(
    createRoute({ method: 'get', path: '/api/health', responses: { 200: json(serverHealth, 'The server is up') } }),
    (c) => c.json({ status: 'ok' as const, version: deps.version, provider: deps.providerName }, 200),
  );
}
