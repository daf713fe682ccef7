import { createRoute, z } from '@hono/zod-openapi';
import type { SecretService } from '../../core/secrets/secret-service.ts';
import type { SecretHolder } from '../../core/ports/store.ts';
import { secretList, secretName, secretView, setSecretRequest } from '../../protocol/secrets-api.ts';
import type { Extension } from '../app.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';

const team = z.string().min(1).max(100);
const removed = { 204: { description: 'It is gone' }, ...failures };

/** Secrets of the caller and of teams; what is written is never read. */
export function secretRoutes(secrets: SecretService): Extension {
  const ofUser = (user: string): SecretHolder => ({ kind: 'user', name: user });
  const ofTeam = (name: string): SecretHolder => ({ kind: 'team', name });
  const listed = { 200: json(secretList, 'By name, without the values'), ...failures };
  const written = { 200: json(secretView, 'As it is now, without the value'), ...failures };

  return (app) => {
    app.openapi(
      createRoute({ method: 'get', path: '/api/secrets', security: tokenNeeded, responses: listed }),
      async (c) => c.json({ secrets: await secrets.list(ofUser(c.get('identity').user)) }, 200),
    );
    app.openapi(
      createRoute({
        method: 'put',
        path: '/api/secrets/{name}',
        security: tokenNeeded,
        request: { params: z.object({ name: secretName }), ...jsonBody(setSecretRequest) },
        responses: written,
      }),
      async (c) => {
        const { user } = c.get('identity');
        return c.json(await secrets.set(ofUser(user), c.req.valid('param').name, c.req.valid('json'), user), 200);
      },
    );
    app.openapi(
      createRoute({
        method: 'delete',
        path: '/api/secrets/{name}',
        security: tokenNeeded,
        request: { params: z.object({ name: secretName }) },
        responses: removed,
      }),
      async (c) => {
        const { user } = c.get('identity');
        await secrets.remove(ofUser(user), c.req.valid('param').name, user);
        return c.body(null, 204);
      },
    );
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/teams/{team}/secrets',
        security: tokenNeeded,
        request: { params: z.object({ team }) },
        responses: listed,
      }),
      async (c) => c.json({ secrets: await secrets.list(ofTeam(c.req.valid('param').team)) }, 200),
    );
    app.openapi(
      createRoute({
        method: 'put',
        path: '/api/teams/{team}/secrets/{name}',
        security: tokenNeeded,
        request: { params: z.object({ team, name: secretName }), ...jsonBody(setSecretRequest) },
        responses: written,
      }),
      async (c) => {
        const params = c.req.valid('param');
        return c.json(await secrets.set(ofTeam(params.team), params.name, c.req.valid('json'), c.get('identity').user), 200);
      },
    );
    app.openapi(
      createRoute({
        method: 'delete',
        path: '/api/teams/{team}/secrets/{name}',
        security: tokenNeeded,
        request: { params: z.object({ team, name: secretName }) },
        responses: removed,
      }),
      async (c) => {
        const params = c.req.valid('param');
        await secrets.remove(ofTeam(params.team), params.name, c.get('identity').user);
        return c.body(null, 204);
      },
    );
  };
}
