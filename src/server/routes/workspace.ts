import { createRoute, z } from '@hono/zod-openapi';
import { execInput, execResult, portInfo, sandboxUsage, sessionDiff } from '../../protocol/api.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, jsonBody, sessionParams, tokenNeeded } from '../schemas.ts';

export function workspaceRoutes(app: Router, deps: AppDependencies): void {
  const { sessions } = deps.core;

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/diff',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 200: json(sessionDiff, 'Everything since the base: commits, uncommitted and untracked files'), ...failures },
    }),
    async (c) => c.json(await sessions.diff(c.req.valid('param').id, c.req.raw.signal), 200),
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/usage',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 200: json(sandboxUsage, 'Limits and what is used of them'), ...failures },
    }),
    async (c) => c.json(await sessions.usage(c.req.valid('param').id, c.req.raw.signal), 200),
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/ports',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 200: json(z.object({ ports: z.array(portInfo) }), 'Ports that are listened on inside'), ...failures },
    }),
    async (c) => {
      const { signal } = c.req.raw;
      const ports = await sessions.withRunner(c.req.valid('param').id, signal, (runner) => runner.listPorts(signal));
      return c.json({ ports }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/exec',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(execInput) },
      responses: { 200: json(execResult, 'The finished process; a non-zero exit is a result'), ...failures },
    }),
    async (c) => {
      const { signal } = c.req.raw;
      const input = c.req.valid('json');
      const result = await sessions.withRunner(c.req.valid('param').id, signal, (runner, session) =>
        runner.exec({ ...input, cwd: input.cwd ?? session.cwd, env: { ...session.env, ...input.env } }, signal),
      );
      const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
      return c.json({ ...result, stdout: base64(result.stdout), stderr: base64(result.stderr) }, 200);
    },
  );
}
