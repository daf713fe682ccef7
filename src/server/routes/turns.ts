import { createRoute, z } from '@hono/zod-openapi';
import { viewTurn } from '../../core/sessions/session-view.ts';
import { admission, createSessionRequest, createTurnRequest, promptRequest, turn, type CreateTurnRequest } from '../../protocol/api.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { AppDependencies, Router } from '../context.ts';
import { idempotent } from '../idempotency.ts';
import { failures, json, jsonBody, sessionParams, tokenNeeded } from '../schemas.ts';

const createTimeoutMs = 60_000;

export function turnRoutes(app: Router, deps: AppDependencies): void {
  const { sessions } = deps.core;

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/turns',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(createTurnRequest) },
      responses: { 202: json(admission, 'Where the turn stands'), ...failures },
    }),
    async (c) => {
      const request = withHeaderKey(c.req.valid('json'), c.req.header('idempotency-key'));
      const admitted = await sessions.prompt(c.req.valid('param').id, request, c.get('identity').user);
      return c.json(admitted.admission, 202);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/session/prompt',
      security: tokenNeeded,
      request: jsonBody(promptRequest),
      responses: { 202: json(admission, 'Where the turn stands, in the session named or made'), ...failures },
    }),
    async (c) => {
      const { sessionId, prompt, priority, webhookOnReady, webhookEvents, idempotencyKey, ...rest } = c.req.valid('json');
      const { user } = c.get('identity');
      const key = idempotencyKey ?? c.req.header('idempotency-key');
      const asked = withHeaderKey(
        {
          prompt,
          ...(priority === undefined ? {} : { priority }),
          ...(webhookOnReady === undefined ? {} : { webhookOnReady }),
          ...(webhookEvents === undefined ? {} : { webhookEvents }),
        },
        key,
      );
      if (sessionId !== undefined && Object.keys(rest).length > 0) {
        throw new BerthError('invalid_request', `${Object.keys(rest)[0]} cannot be set on an existing session`, {
          field: Object.keys(rest)[0]!,
        });
      }
      const id =
        sessionId ??
        (await idempotent<string>(deps.store, `prompt:${user}`, key, rest, async (save) => {
          const request = createSessionRequest.parse(rest);
          const signal = AbortSignal.timeout(createTimeoutMs);
          return (await sessions.create(request, user, signal, (tx, record) => save(tx, record.id))).id;
        }));
      return c.json((await sessions.prompt(id, asked, user)).admission, 202);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/turns',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 200: json(z.object({ turns: z.array(turn) }), 'Oldest first'), ...failures },
    }),
    async (c) => c.json({ turns: (await sessions.turns(c.req.valid('param').id)).map(viewTurn) }, 200),
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/turns/{turnId}',
      security: tokenNeeded,
      request: {
        params: sessionParams.extend({ turnId: z.string().max(100) }),
        query: z.object({ waitSeconds: z.coerce.number().min(0).max(60).default(0) }),
      },
      responses: { 200: json(turn, 'The turn; with waitSeconds, when it has ended or that time is over'), ...failures },
    }),
    async (c) => {
      const { id, turnId } = c.req.valid('param');
      const { waitSeconds } = c.req.valid('query');
      const record =
        waitSeconds === 0
          ? await sessions.turn(id, turnId)
          : await sessions.waitForTurn(
              id,
              turnId,
              AbortSignal.any([AbortSignal.timeout(waitSeconds * 1000), c.req.raw.signal]),
            );
      return c.json(viewTurn(record), 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/turns/{turnId}/cancel',
      security: tokenNeeded,
      request: { params: sessionParams.extend({ turnId: z.string().max(100) }) },
      responses: { 202: json(turn, 'The turn; one that runs ends soon'), ...failures },
    }),
    async (c) => {
      const { id, turnId } = c.req.valid('param');
      return c.json(viewTurn(await sessions.cancelTurn(id, turnId, c.get('identity').user)), 202);
    },
  );
}

function withHeaderKey(request: CreateTurnRequest, header: string | undefined): CreateTurnRequest {
  if (header === undefined || request.idempotencyKey !== undefined) return request;
  return { ...request, idempotencyKey: header };
}
