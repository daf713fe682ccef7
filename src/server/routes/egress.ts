import { createRoute, z } from '@hono/zod-openapi';
import type { EgressService } from '../../core/egress/egress-service.ts';
import { onlyVisible } from '../../core/users/visibility.ts';
import { allowEgressRequest, egressEntry, egressPolicy, egressQuery, egressView } from '../../protocol/egress.ts';
import type { Extension } from '../app.ts';
import { failures, json, jsonBody, sessionParams, tokenNeeded } from '../schemas.ts';

/** Where a session may connect to, and what was decided. */
export function egressRoutes(egress: EgressService): Extension {
  const answer = { 200: json(egressView, 'The policy, and the decisions, latest first'), ...failures };
  return (app) => {
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/egress',
        security: tokenNeeded,
        request: { query: egressQuery },
        responses: {
          200: json(z.object({ decisions: z.array(egressEntry) }), 'Of the sessions that the caller may see, latest first'),
          ...failures,
        },
      }),
      async (c) => {
        const { session, host, verdict, limit } = c.req.valid('query');
        const decisions = await egress.list({
          ...onlyVisible(c.get('identity')),
          ...(session === undefined ? {} : { sessionId: session }),
          ...(host === undefined ? {} : { host }),
          ...(verdict === undefined ? {} : { allowed: verdict === 'allowed' }),
          limit,
        });
        return c.json({ decisions }, 200);
      },
    );

    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/sessions/{id}/egress',
        security: tokenNeeded,
        request: { params: sessionParams },
        responses: answer,
      }),
      async (c) => c.json(await egress.view(c.req.valid('param').id), 200),
    );

    app.openapi(
      createRoute({
        method: 'put',
        path: '/api/sessions/{id}/egress',
        security: tokenNeeded,
        request: { params: sessionParams, ...jsonBody(z.strictObject({ policy: egressPolicy.nullable() })) },
        responses: answer,
      }),
      async (c) => {
        const { policy } = c.req.valid('json');
        return c.json(await egress.set(c.req.valid('param').id, policy, c.get('identity').user), 200);
      },
    );

    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/sessions/{id}/egress/allow',
        security: tokenNeeded,
        request: { params: sessionParams, ...jsonBody(allowEgressRequest) },
        responses: answer,
      }),
      async (c) => {
        const { rule } = c.req.valid('json');
        return c.json(await egress.allow(c.req.valid('param').id, rule, c.get('identity').user), 200);
      },
    );
  };
}
