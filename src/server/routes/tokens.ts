import { createRoute, z } from '@hono/zod-openapi';
import { addedToken, addTokenRequest, token } from '../../protocol/users-api.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';

/** The caller's own tokens. */
export function tokenRoutes(app: Router, { core }: AppDependencies): void {
  const { tokens } = core.accounts;

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/tokens',
      security: tokenNeeded,
      responses: { 200: json(z.object({ tokens: z.array(token) }), 'Newest first'), ...failures },
    }),
    async (c) => c.json({ tokens: await tokens.list(c.get('identity').user) }, 200),
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/tokens',
      security: tokenNeeded,
      request: jsonBody(addTokenRequest),
      responses: { 201: json(addedToken, 'The token; its secret is in this answer alone'), ...failures },
    }),
    async (c) => {
      const { user } = c.get('identity');
      const added = await tokens.add(user, c.req.valid('json'), user);
      return c.json(added, 201, { 'cache-control': 'no-store' });
    },
  );

  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/tokens/{id}',
      security: tokenNeeded,
      request: { params: z.object({ id: z.string().min(1).max(100) }) },
      responses: { 204: { description: 'It counts no more, and what it has open ends' }, ...failures },
    }),
    async (c) => {
      await tokens.revoke(c.req.valid('param').id, c.get('identity').user);
      return c.body(null, 204);
    },
  );
}
