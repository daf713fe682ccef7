import { createRoute, z } from '@hono/zod-openapi';
import { sessionBudgetView, userBudget, userBudgetView } from '../../protocol/budget.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, jsonBody, sessionParams, tokenNeeded } from '../schemas.ts';

const userParams = z.object({ user: z.string().min(1).max(200) });

/** How much may be used, and how much was. A session's own limits are set where the session is made or changed. */
export function budgetRoutes(app: Router, deps: AppDependencies): void {
  const { budgets } = deps.core;
  const ofUser = { 200: json(userBudgetView, "The user's own limits, and the server's"), ...failures };

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/budget',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 200: json(sessionBudgetView, 'Every limit that holds for the session, and what was used'), ...failures },
    }),
    async (c) => c.json(await budgets.ofSession(c.req.valid('param').id), 200),
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/users/{user}/budget',
      security: tokenNeeded,
      request: { params: userParams },
      responses: ofUser,
    }),
    async (c) => c.json(await budgets.ofUser(c.req.valid('param').user), 200),
  );

  app.openapi(
    createRoute({
      method: 'put',
      path: '/api/users/{user}/budget',
      security: tokenNeeded,
      request: { params: userParams, ...jsonBody(z.strictObject({ budget: userBudget.nullable() })) },
      responses: ofUser,
    }),
    async (c) => {
      const { budget } = c.req.valid('json');
      return c.json(await budgets.setOfUser(c.req.valid('param').user, budget, c.get('identity').user), 200);
    },
  );
}
