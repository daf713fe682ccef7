import { createRoute, z } from '@hono/zod-openapi';
import {
  deviceAnswer,
  deviceDecision,
  deviceRequest,
  deviceRequestInput,
  deviceStart,
  deviceTokenRequest,
} from '../../protocol/device-api.ts';
import type { AppDependencies, Router } from '../context.ts';
import type { RequestLimits } from '../limits/request-limits.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';

/** A person notices no more; and a question costs one read. */
const intervalSeconds = 2;
const codeParams = z.object({ code: z.string().min(1).max(50) });

/** Programs without a browser that ask to be let in, and who lets them. */
export function deviceRoutes(app: Router, { core, browser, limits }: AppDependencies & { limits: RequestLimits }): void {
  const { devices, tokens } = core.accounts;

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/device-requests',
      request: jsonBody(deviceRequestInput),
      responses: { 201: json(deviceStart, 'The code that a person is to type, and what the program gets its token by'), ...failures },
    }),
    async (c) => {
      const { client, scopes } = c.req.valid('json');
      const { deviceCode, userCode, expiresAt } = await devices.begin({ client, scopes, address: limits.addressOf(c) });
      const url = `${(browser.publicUrl() ?? new URL(c.req.url).origin).replace(/\/$/, '')}/device`;
      const completeUrl = `${url}?code=${userCode}`;
      c.header('cache-control', 'no-store');
      return c.json({ deviceCode, userCode, url, completeUrl, expiresAt: expiresAt.toISOString(), intervalSeconds }, 201);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/device-tokens',
      request: jsonBody(deviceTokenRequest),
      responses: { 200: json(deviceAnswer, 'Whether somebody has decided; the token is in one answer alone'), ...failures },
    }),
    async (c) => {
      c.header('cache-control', 'no-store');
      return c.json(await devices.poll(c.req.valid('json').deviceCode), 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/device-requests/{code}',
      security: tokenNeeded,
      request: { params: codeParams },
      responses: { 200: json(deviceRequest, 'Which program asks, from where, and for what'), ...failures },
    }),
    async (c) => c.json(await devices.find(c.req.valid('param').code), 200),
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/device-requests/{code}',
      security: tokenNeeded,
      request: { params: codeParams, ...jsonBody(deviceDecision) },
      responses: { 204: { description: 'It gets a token of the caller, or hears that it does not' }, ...failures },
    }),
    async (c) => {
      await devices.decide(c.req.valid('param').code, c.req.valid('json').allow, c.get('identity').user);
      return c.body(null, 204);
    },
  );

  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/token',
      security: tokenNeeded,
      responses: { 204: { description: 'The token that asked is revoked' }, ...failures },
    }),
    async (c) => {
      await tokens.revokeOwn(c.get('tokenHash'));
      return c.body(null, 204);
    },
  );
}
