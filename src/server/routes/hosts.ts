import { createRoute, z } from '@hono/zod-openapi';
import { host } from '../../protocol/api.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, tokenNeeded } from '../schemas.ts';

/** The machines that share the database. */
export function hostRoutes(app: Router, { core }: AppDependencies): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/hosts',
      security: tokenNeeded,
      responses: {
        200: json(z.object({ hosts: z.array(host) }), 'All that have registered and were not forgotten'),
        ...failures,
      },
    }),
    async (c) => c.json({ hosts: await core.hosts.list() }, 200),
  );

  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/hosts/{id}',
      security: tokenNeeded,
      request: { params: z.object({ id: z.string().min(1).max(100) }) },
      responses: { 204: { description: 'Forgotten; its sessions start again from their base commit' }, ...failures },
    }),
    async (c) => {
      await core.hosts.forget(c.req.valid('param').id);
      return c.body(null, 204);
    },
  );
}
