import { createRoute, z } from '@hono/zod-openapi';
import { viewSession, viewSnapshot } from '../../core/sessions/session-view.ts';
import { onlyVisible } from '../../core/users/visibility.ts';
import { createSnapshotRequest, forkRequest, session, snapshot } from '../../protocol/api.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, jsonBody, sessionParams, tokenNeeded } from '../schemas.ts';

const copyTimeoutMs = 5 * 60_000;

/** `snapshot` is an id, or the caller's own name for one. */
const snapshotParams = z.object({ snapshot: z.string().min(1).max(100) });

export function snapshotRoutes(app: Router, deps: AppDependencies): void {
  const { snapshots } = deps.core;

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/snapshots',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(createSnapshotRequest) },
      responses: { 201: json(snapshot, 'The snapshot; the session goes on'), ...failures },
    }),
    async (c) => {
      const signal = AbortSignal.timeout(copyTimeoutMs);
      const { user } = c.get('identity');
      return c.json(
        viewSnapshot(await snapshots.create(c.req.valid('param').id, c.req.valid('json'), user, signal)),
        201,
      );
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/snapshots',
      security: tokenNeeded,
      request: { query: z.object({ session: z.string().max(100).optional() }) },
      responses: { 200: json(z.object({ snapshots: z.array(snapshot) }), 'Newest first'), ...failures },
    }),
    async (c) => {
      const { session: sessionId } = c.req.valid('query');
      const { visibleTo: owner } = onlyVisible(c.get('identity'));
      const records = await snapshots.list({
        ...(sessionId === undefined ? {} : { sessionId }),
        ...(owner === undefined ? {} : { owner }),
      });
      return c.json({ snapshots: records.map(viewSnapshot) }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/snapshots/{snapshot}',
      security: tokenNeeded,
      request: { params: snapshotParams },
      responses: { 200: json(snapshot, 'The snapshot'), ...failures },
    }),
    async (c) => c.json(viewSnapshot(await snapshots.get(c.req.valid('param').snapshot, c.get('identity').user)), 200),
  );

  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/snapshots/{snapshot}',
      security: tokenNeeded,
      request: { params: snapshotParams },
      responses: { 204: { description: 'The snapshot is gone; sessions made from it are not touched' }, ...failures },
    }),
    async (c) => {
      const signal = AbortSignal.timeout(copyTimeoutMs);
      await snapshots.delete(c.req.valid('param').snapshot, c.get('identity').user, signal);
      return c.body(null, 204);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/snapshots/{snapshot}/fork',
      security: tokenNeeded,
      request: { params: snapshotParams, ...jsonBody(forkRequest) },
      responses: {
        201: json(z.object({ sessions: z.array(session) }), 'Sessions that begin where it was taken'),
        ...failures,
      },
    }),
    async (c) => {
      const signal = AbortSignal.timeout(copyTimeoutMs);
      const { count } = c.req.valid('json');
      const forks = await snapshots.fork(c.req.valid('param').snapshot, count, c.get('identity').user, signal);
      return c.json({ sessions: forks.map(viewSession) }, 201);
    },
  );
}
