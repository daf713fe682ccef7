import { createRoute, z } from '@hono/zod-openapi';
import { sessionAccess, share, shareRequest, shareSubject } from '../../protocol/users-api.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, jsonBody, sessionParams, tokenNeeded } from '../schemas.ts';

const shareParams = sessionParams.extend({ kind: shareSubject.shape.kind, name: z.string().min(1).max(100) });

/** With whom a session is shared and for what, and what the caller may do with it. */
export function shareRoutes(app: Router, { core }: AppDependencies): void {
  const { shares } = core.accounts;

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/access',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 200: json(sessionAccess, 'What the caller may do with it'), ...failures },
    }),
    async (c) => c.json({ permissions: await core.accounts.accessTo(c.get('identity'), c.req.valid('param').id) }, 200),
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/shares',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 200: json(z.object({ shares: z.array(share) }), 'Teams, then users'), ...failures },
    }),
    async (c) => c.json({ shares: await shares.list(c.req.valid('param').id) }, 200),
  );

  app.openapi(
    createRoute({
      method: 'put',
      path: '/api/sessions/{id}/shares/{kind}/{name}',
      security: tokenNeeded,
      request: { params: shareParams, ...jsonBody(shareRequest) },
      responses: { 200: json(share, 'What is shared now'), ...failures },
    }),
    async (c) => {
      const { id, kind, name } = c.req.valid('param');
      const { rights } = c.req.valid('json');
      return c.json(await shares.set(id, { kind, name }, rights, c.get('identity').user), 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/sessions/{id}/shares/{kind}/{name}',
      security: tokenNeeded,
      request: { params: shareParams },
      responses: { 204: { description: 'Shared no more, and what is open of it ends' }, ...failures },
    }),
    async (c) => {
      const { id, kind, name } = c.req.valid('param');
      await shares.remove(id, { kind, name }, c.get('identity').user);
      return c.body(null, 204);
    },
  );
}
