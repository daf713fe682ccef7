import { createRoute, z } from '@hono/zod-openapi';
import { quotaView, setQuotaRequest } from '../../protocol/quota.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';

const name = z.string().min(1).max(200);
const answers = { 200: json(quotaView, 'Its own quota, the one that holds where that says nothing, and what is used'), ...failures };

/** How much of the installation users and teams may have. */
export function quotaRoutes(app: Router, { core: { quotas } }: AppDependencies): void {
  app.openapi(
    createRoute({ method: 'get', path: '/api/quota', security: tokenNeeded, responses: answers }),
    async (c) => c.json(await quotas.show({ kind: 'user', name: c.get('identity').user }), 200),
  );

  const ofUser = z.object({ user: name });
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/users/{user}/quota',
      security: tokenNeeded,
      request: { params: ofUser },
      responses: answers,
    }),
    async (c) => c.json(await quotas.show({ kind: 'user', name: c.req.valid('param').user }), 200),
  );
  app.openapi(
    createRoute({
      method: 'put',
      path: '/api/users/{user}/quota',
      security: tokenNeeded,
      request: { params: ofUser, ...jsonBody(setQuotaRequest) },
      responses: answers,
    }),
    async (c) => {
      const subject = { kind: 'user', name: c.req.valid('param').user } as const;
      return c.json(await quotas.set(subject, c.req.valid('json').quota, c.get('identity').user), 200);
    },
  );

  const ofTeam = z.object({ team: name });
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/teams/{team}/quota',
      security: tokenNeeded,
      request: { params: ofTeam },
      responses: answers,
    }),
    async (c) => c.json(await quotas.show({ kind: 'team', name: c.req.valid('param').team }), 200),
  );
  app.openapi(
    createRoute({
      method: 'put',
      path: '/api/teams/{team}/quota',
      security: tokenNeeded,
      request: { params: ofTeam, ...jsonBody(setQuotaRequest) },
      responses: answers,
    }),
    async (c) => {
      const subject = { kind: 'team', name: c.req.valid('param').team } as const;
      return c.json(await quotas.set(subject, c.req.valid('json').quota, c.get('identity').user), 200);
    },
  );
}
