import { createRoute, z } from '@hono/zod-openapi';
import type { KeyService } from '../../core/keys/key-service.ts';
import { createKeyRequest, modelKeyView, rotation } from '../../protocol/keys.ts';
import type { Extension } from '../app.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';

const rotateTimeoutMs = 5 * 60_000;

/** Credentials for models. No route gives away what is secret in one. */
export function keyRoutes(keys: KeyService): Extension {
  return (app) => {
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/keys',
        security: tokenNeeded,
        responses: { 200: json(z.object({ keys: z.array(modelKeyView) }), 'Keys that the caller may use'), ...failures },
      }),
      async (c) => c.json({ keys: await keys.list(c.get('identity')) }, 200),
    );

    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/keys',
        security: tokenNeeded,
        request: jsonBody(createKeyRequest),
        responses: { 201: json(modelKeyView, 'The key, without its secret'), ...failures },
      }),
      async (c) => c.json(await keys.create(c.get('identity'), c.req.valid('json')), 201),
    );

    app.openapi(
      createRoute({
        method: 'delete',
        path: '/api/keys/{id}',
        security: tokenNeeded,
        request: { params: z.object({ id: z.string().min(1).max(100) }) },
        responses: { 204: { description: 'It is gone' }, ...failures },
      }),
      async (c) => {
        await keys.delete(c.get('identity'), c.req.valid('param').id);
        return c.body(null, 204);
      },
    );

    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/keys/rotate',
        security: tokenNeeded,
        responses: { 200: json(rotation, 'Every stored secret is sealed with a new data key'), ...failures },
      }),
      async (c) => {
        const signal = AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(rotateTimeoutMs)]);
        return c.json(await keys.rotate(c.get('identity'), signal), 200);
      },
    );
  };
}
