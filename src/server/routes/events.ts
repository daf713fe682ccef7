import { upgradeWebSocket } from '@hono/node-server';
import { createRoute, z } from '@hono/zod-openapi';
import { streamSSE } from 'hono/streaming';
import { BerthError } from '../../protocol/errors.ts';
import { sessionEvent } from '../../protocol/events.ts';
import type { AppDependencies, Router } from '../context.ts';
import { feedEvents } from '../event-feed.ts';
import { failures, json, sessionParams, tokenNeeded } from '../schemas.ts';
import { openSessionSocket } from '../ws/session-socket.ts';

const heartbeatMs = 15_000;
const fromSeq = z.coerce.number().int().min(0).default(0);

export function eventRoutes(app: Router, deps: AppDependencies): void {
  const { sessions } = deps.core;

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/log',
      security: tokenNeeded,
      request: {
        params: sessionParams,
        query: z.object({ from: fromSeq, limit: z.coerce.number().int().min(1).max(1000).default(500) }),
      },
      responses: { 200: json(z.object({ events: z.array(sessionEvent) }), 'Events with seq > from'), ...failures },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { from, limit } = c.req.valid('query');
      await sessions.get(id);
      return c.json({ events: await deps.store.read.events(id, from, limit) }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/events',
      security: tokenNeeded,
      request: { params: sessionParams, query: z.object({ from: fromSeq }) },
      responses: {
        200: { description: 'Server-sent events', content: { 'text/event-stream': { schema: z.string() } } },
        ...failures,
      },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      await sessions.get(id);
      const from = lastEventId(c.req.header('last-event-id')) ?? c.req.valid('query').from;
      // Proxies must not gather a stream.
      c.header('x-accel-buffering', 'no');
      return streamSSE(c, async (stream) => {
        const stop = new AbortController();
        stream.onAbort(() => stop.abort());
        for await (const event of feedEvents(deps.store, id, from, heartbeatMs, stop.signal)) {
          if (event === null) await stream.write(': heartbeat\n\n');
          else await stream.writeSSE({ id: String(event.seq), event: 'message', data: JSON.stringify(event) });
        }
      });
    },
  );

  app.get(
    '/api/sessions/:id/stream',
    upgradeWebSocket(async (c) => {
      const id = c.req.param('id') ?? '';
      await sessions.get(id);
      const from = fromSeq.safeParse(c.req.query('from') ?? 0);
      if (!from.success) throw new BerthError('invalid_request', 'from: a sequence number', { field: 'from' });
      return openSessionSocket(deps, { sessionId: id, from: from.data, tokenHash: c.get('tokenHash') });
    }),
  );
}

function lastEventId(header: string | undefined): number | null {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : null;
}
