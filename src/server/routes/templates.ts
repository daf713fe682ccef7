import { createRoute, z } from '@hono/zod-openapi';
import { streamSSE } from 'hono/streaming';
import type { TemplateService } from '../../core/templates/template-service.ts';
import {
  buildTemplateRequest,
  pushTemplateRequest,
  templateJob,
  templateJobList,
  templateList,
  templateName,
  templateView,
} from '../../protocol/templates-api.ts';
import type { Extension } from '../app.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';

const heartbeatMs = 15_000;
const removeTimeoutMs = 60_000;
const named = z.object({ name: templateName });
const jobParams = z.object({ id: z.string().min(1).max(100) });
const begun = { 202: json(templateJob, 'The job, which runs'), ...failures };

/** Templates and the jobs that make and push them. */
export function templateRoutes(templates: TemplateService): Extension {
  return (app) => {
    app.openapi(
      createRoute({ method: 'get', path: '/api/templates', security: tokenNeeded, responses: { 200: json(templateList, 'By name'), ...failures } }),
      async (c) => c.json({ templates: await templates.list() }, 200),
    );
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/templates/{name}',
        security: tokenNeeded,
        request: { params: named },
        responses: { 200: json(templateView, 'As it is now'), ...failures },
      }),
      async (c) => c.json(await templates.get(c.req.valid('param').name), 200),
    );
    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/templates/{name}/build',
        security: tokenNeeded,
        request: { params: named, ...jsonBody(buildTemplateRequest) },
        responses: begun,
      }),
      async (c) => c.json(await templates.build(c.req.valid('param').name, c.req.valid('json').from, c.get('identity').user), 202),
    );
    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/templates/{name}/push',
        security: tokenNeeded,
        request: { params: named, ...jsonBody(pushTemplateRequest) },
        responses: begun,
      }),
      async (c) => c.json(await templates.push(c.req.valid('param').name, c.req.valid('json').to, c.get('identity').user), 202),
    );
    app.openapi(
      createRoute({
        method: 'delete',
        path: '/api/templates/{name}',
        security: tokenNeeded,
        request: { params: named },
        responses: { 204: { description: 'It is gone' }, ...failures },
      }),
      async (c) => {
        const signal = AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(removeTimeoutMs)]);
        await templates.remove(c.req.valid('param').name, c.get('identity').user, signal);
        return c.body(null, 204);
      },
    );

    app.openapi(
      createRoute({ method: 'get', path: '/api/template-jobs', security: tokenNeeded, responses: { 200: json(templateJobList, 'Newest first'), ...failures } }),
      async (c) => c.json({ jobs: await templates.jobs() }, 200),
    );
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/template-jobs/{id}',
        security: tokenNeeded,
        request: { params: jobParams },
        responses: { 200: json(templateJob, 'As it is now'), ...failures },
      }),
      async (c) => c.json(await templates.job(c.req.valid('param').id), 200),
    );
    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/template-jobs/{id}/cancel',
        security: tokenNeeded,
        request: { params: jobParams },
        responses: { 200: json(templateJob, 'As it ended'), ...failures },
      }),
      async (c) => c.json(await templates.cancel(c.req.valid('param').id), 200),
    );
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/template-jobs/{id}/events',
        security: tokenNeeded,
        request: { params: jobParams, query: z.object({ from: z.coerce.number().int().min(0).default(0) }) },
        responses: {
          200: { description: 'Server-sent events: lines of the log, and at last the end', content: { 'text/event-stream': { schema: z.string() } } },
          ...failures,
        },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        await templates.job(id);
        const { from } = c.req.valid('query');
        // Proxies must not gather a stream.
        c.header('x-accel-buffering', 'no');
        return streamSSE(c, async (stream) => {
          const stop = new AbortController();
          stream.onAbort(() => stop.abort());
          for await (const event of templates.follow(id, from, heartbeatMs, stop.signal)) {
            if (event === null) await stream.write(': heartbeat\n\n');
            else await stream.writeSSE({ id: String(event.seq), event: 'message', data: JSON.stringify(event) });
          }
        });
      },
    );
  };
}
