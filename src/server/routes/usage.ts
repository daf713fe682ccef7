import { createRoute } from '@hono/zod-openapi';
import type { Store } from '../../core/ports/store.ts';
import { reportUsage } from '../../core/usage/usage-report.ts';
import { usageQuery, usageReport } from '../../protocol/usage.ts';
import type { Extension } from '../app.ts';
import { failures, json, tokenNeeded } from '../schemas.ts';

/** What models used. */
export function usageRoutes(store: Store): Extension {
  return (app) => {
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/usage',
        security: tokenNeeded,
        request: { query: usageQuery },
        responses: { 200: json(usageReport, 'What models used, grouped as asked'), ...failures },
      }),
      async (c) => {
        const { user, role } = c.get('identity');
        return c.json(await reportUsage(store.read, c.req.valid('query'), role === 'owner' ? null : user), 200);
      },
    );
  };
}
