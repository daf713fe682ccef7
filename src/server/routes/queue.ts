import { createRoute, z } from '@hono/zod-openapi';
import { onlyVisible } from '../../core/users/visibility.ts';
import { admission, deadLetter, poolOverview, queueOverview } from '../../protocol/api.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, queryFlag, tokenNeeded } from '../schemas.ts';

/** The queue and the pool as they stand, and the turns that the platform failed. */
export function queueRoutes(app: Router, { core }: AppDependencies): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/queue',
      security: tokenNeeded,
      responses: { 200: json(queueOverview, 'Who waits, in which order, for how long'), ...failures },
    }),
    async (c) => c.json(await core.queue.overview(onlyVisible(c.get('identity'))), 200),
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/pool',
      security: tokenNeeded,
      responses: { 200: json(poolOverview, 'Slots, warm sandboxes, and how the pool does'), ...failures },
    }),
    async (c) => c.json(await core.pool.overview(), 200),
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/dead-letters',
      security: tokenNeeded,
      request: {
        query: z.object({
          session: z.string().min(1).max(100).optional(),
          waiting: queryFlag,
          limit: z.coerce.number().int().min(1).max(200).default(50),
        }),
      },
      responses: { 200: json(z.object({ deadLetters: z.array(deadLetter) }), 'Newest first'), ...failures },
    }),
    async (c) => {
      const { session, waiting, limit } = c.req.valid('query');
      const filter = { waiting, limit, ...onlyVisible(c.get('identity')), ...(session === undefined ? {} : { sessionId: session }) };
      return c.json({ deadLetters: await core.queue.deadLetters(filter) }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/dead-letters/{turnId}/replay',
      security: tokenNeeded,
      request: { params: z.object({ turnId: z.string().min(1).max(100) }) },
      responses: { 202: json(admission, 'Where the turn that repeats it stands'), ...failures },
    }),
    async (c) => {
      const turn = await core.queue.replay(c.req.valid('param').turnId, c.get('identity').user);
      return c.json(await core.sessions.admission(turn), 202);
    },
  );
}
