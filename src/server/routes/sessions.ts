import { createRoute, z } from '@hono/zod-openapi';
import { onlyVisible } from '../../core/users/visibility.ts';
import { viewSession } from '../../core/sessions/session-view.ts';
import {
  configRequest,
  forkRequest,
  restRequest,
  createSessionRequest,
  modelRequest,
  modeRequest,
  permissionAnswerRequest,
  session,
  updateSessionRequest,
  type Session,
} from '../../protocol/api.ts';
import { permissionPolicyView, setPermissionPolicyRequest } from '../../protocol/permission-policy.ts';
import { BerthError } from '../../protocol/errors.ts';
import { sessionStatus } from '../../protocol/events.ts';
import type { AppDependencies, Router } from '../context.ts';
import { idempotent } from '../idempotency.ts';
import { failures, json, jsonBody, sessionParams, tokenNeeded } from '../schemas.ts';

const createTimeoutMs = 60_000;
const forkTimeoutMs = 5 * 60_000;

export function sessionRoutes(app: Router, deps: AppDependencies): void {
  const { sessions } = deps.core;

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions',
      security: tokenNeeded,
      request: jsonBody(createSessionRequest),
      responses: { 201: json(session, 'The session; its sandbox is made on first need'), ...failures },
    }),
    async (c) => {
      const body = c.req.valid('json');
      const { user } = c.get('identity');
      const key = c.req.header('idempotency-key');
      const created = await idempotent<Session>(deps.store, `sessions:${user}`, key, body, async (save) => {
        const signal = AbortSignal.timeout(createTimeoutMs);
        return viewSession(await sessions.create(body, user, signal, (tx, record) => save(tx, viewSession(record))));
      });
      return c.json(created, 201);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions',
      security: tokenNeeded,
      request: {
        query: z.object({
          status: z.string().optional(),
          archived: z.enum(['true', 'false']).optional(),
          before: z.string().max(100).optional(),
          limit: z.coerce.number().int().min(1).max(200).default(50),
        }),
      },
      responses: { 200: json(z.object({ sessions: z.array(session) }), 'Newest first'), ...failures },
    }),
    async (c) => {
      const { status, archived, before, limit } = c.req.valid('query');
      const records = await sessions.list({
        limit,
        deleting: false,
        ...onlyVisible(c.get('identity')),
        ...(archived === undefined ? {} : { archived: archived === 'true' }),
        ...(before === undefined ? {} : { before }),
        ...(status === undefined ? {} : { statuses: parseStatuses(status) }),
      });
      return c.json({ sessions: records.map(viewSession) }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 200: json(session, 'The session'), ...failures },
    }),
    async (c) => c.json(viewSession(await sessions.get(c.req.valid('param').id)), 200),
  );

  app.openapi(
    createRoute({
      method: 'patch',
      path: '/api/sessions/{id}',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(updateSessionRequest) },
      responses: { 200: json(session, 'The session'), ...failures },
    }),
    async (c) => c.json(viewSession(await sessions.update(c.req.valid('param').id, c.req.valid('json'), c.get('identity').user)), 200),
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/wake',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 200: json(session, 'The session, its sandbox running'), ...failures },
    }),
    async (c) => c.json(viewSession(await sessions.wake(c.req.valid('param').id, c.req.raw.signal, c.get('identity').user)), 200),
  );

  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/sessions/{id}',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 204: { description: 'The session and its sandbox are gone' }, ...failures },
    }),
    async (c) => {
      await sessions.delete(c.req.valid('param').id, c.get('identity').user);
      return c.body(null, 204);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/permissions/{requestId}',
      security: tokenNeeded,
      request: { params: sessionParams.extend({ requestId: z.string().max(200) }), ...jsonBody(permissionAnswerRequest) },
      responses: { 204: { description: 'The agent has the answer' }, ...failures },
    }),
    async (c) => {
      const { id, requestId } = c.req.valid('param');
      await sessions.answerPermission(id, requestId, c.req.valid('json').optionId, c.get('identity').user);
      return c.body(null, 204);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/permission-policy',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 200: json(permissionPolicyView, 'Who answers what its agent asks'), ...failures },
    }),
    async (c) => c.json(await sessions.permissionPolicy(c.req.valid('param').id), 200),
  );

  app.openapi(
    createRoute({
      method: 'put',
      path: '/api/sessions/{id}/permission-policy',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(setPermissionPolicyRequest) },
      responses: { 200: json(permissionPolicyView, 'Holds for what is asked from now on'), ...failures },
    }),
    async (c) => {
      const { user } = c.get('identity');
      return c.json(await sessions.setPermissionPolicy(c.req.valid('param').id, c.req.valid('json'), user), 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/interrupt',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 202: json(z.object({ interrupted: z.string().nullable() }), 'The turn that ends'), ...failures },
    }),
    async (c) => c.json(await sessions.interrupt(c.req.valid('param').id, c.get('identity').user), 202),
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/rest',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(restRequest) },
      responses: { 200: json(session, 'The session at rest'), ...failures },
    }),
    async (c) => c.json(viewSession(await sessions.rest(c.req.valid('param').id, c.req.valid('json').step, c.get('identity').user)), 200),
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/fork',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(forkRequest) },
      responses: { 201: json(z.object({ sessions: z.array(session) }), 'The forks'), ...failures },
    }),
    async (c) => {
      const { count } = c.req.valid('json');
      const signal = AbortSignal.timeout(forkTimeoutMs);
      const forks = await sessions.fork(c.req.valid('param').id, count, c.get('identity').user, signal);
      return c.json({ sessions: forks.map(viewSession) }, 201);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/mode',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(modeRequest) },
      responses: { 200: json(session, 'The session'), ...failures },
    }),
    async (c) =>
      c.json(viewSession(await sessions.setMode(c.req.valid('param').id, c.req.valid('json').modeId, c.get('identity').user)), 200),
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/model',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(modelRequest) },
      responses: { 200: json(session, 'The session'), ...failures },
    }),
    async (c) =>
      c.json(viewSession(await sessions.setConfig(c.req.valid('param').id, 'model', c.req.valid('json').model, c.get('identity').user)), 200),
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/config',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(configRequest) },
      responses: { 200: json(session, 'The session'), ...failures },
    }),
    async (c) => {
      const { configId, value } = c.req.valid('json');
      return c.json(viewSession(await sessions.setConfig(c.req.valid('param').id, configId, value, c.get('identity').user)), 200);
    },
  );
}

function parseStatuses(list: string) {
  const parsed = sessionStatus.array().safeParse(list.split(','));
  if (!parsed.success) {
    throw new BerthError('invalid_request', `status: one or more of ${sessionStatus.options.join(', ')}, with commas`, {
      field: 'status',
    });
  }
  return parsed.data;
}
