import { upgradeWebSocket } from '@hono/node-server';
import { createRoute, z } from '@hono/zod-openapi';
import { processInfo, processInput } from '../../protocol/api.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, jsonBody, sessionParams, tokenNeeded } from '../schemas.ts';
import { openProcessSocket } from '../ws/process-socket.ts';

const processParams = sessionParams.extend({ pid: z.string().min(1).max(100) });

/** Processes and terminals (a process with `pty`) of a session's sandbox. */
export function processRoutes(app: Router, deps: AppDependencies): void {
  const { sessions, audit } = deps.core;

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/processes',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(processInput) },
      responses: { 201: json(processInfo, 'The process, started; attach to it for its output'), ...failures },
    }),
    async (c) => {
      const { signal } = c.req.raw;
      const { id } = c.req.valid('param');
      const { cwd, env, argv, pty, stdin } = c.req.valid('json');
      await sessions.get(id);
      await audit.record(c.get('identity').user, {
        action: 'process.started',
        target: argv[0] ?? null,
        sessionId: id,
        // Arguments may hold what only its caller should know.
        detail: { arguments: argv.length - 1, terminal: pty !== undefined },
      });
      const info = await sessions.withRunner(id, signal, (runner, session) =>
        runner.startProcess(
          {
            argv,
            cwd: cwd ?? session.cwd,
            env: { ...session.env, ...env },
            ...(pty === undefined ? {} : { pty }),
            ...(stdin === undefined ? {} : { stdin }),
          },
          signal,
        ),
      );
      return c.json(info, 201);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/processes',
      security: tokenNeeded,
      request: { params: sessionParams },
      responses: { 200: json(z.object({ processes: z.array(processInfo) }), 'Running ones, and those that ended lately'), ...failures },
    }),
    async (c) => {
      const { signal } = c.req.raw;
      const processes = await sessions.withRunner(c.req.valid('param').id, signal, (runner) => runner.listProcesses(signal));
      return c.json({ processes }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/processes/{pid}',
      security: tokenNeeded,
      request: { params: processParams },
      responses: { 200: json(processInfo, 'The process'), ...failures },
    }),
    async (c) => {
      const { id, pid } = c.req.valid('param');
      const { signal } = c.req.raw;
      return c.json(await sessions.withRunner(id, signal, (runner) => runner.getProcess(pid, signal)), 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/processes/{pid}/signal',
      security: tokenNeeded,
      request: { params: processParams, ...jsonBody(z.strictObject({ signal: z.string().regex(/^SIG[A-Z0-9]{1,10}$/) })) },
      responses: { 204: { description: 'Sent to the process and its group' }, ...failures },
    }),
    async (c) => {
      const { id, pid } = c.req.valid('param');
      const { signal } = c.req.raw;
      const name = c.req.valid('json').signal;
      await sessions.get(id);
      await audit.record(c.get('identity').user, {
        action: 'process.signalled',
        target: pid,
        sessionId: id,
        detail: { signal: name },
      });
      await sessions.withRunner(id, signal, (runner) => runner.signalProcess(pid, name, signal));
      return c.body(null, 204);
    },
  );

  app.get(
    '/api/sessions/:id/processes/:pid/attach',
    upgradeWebSocket(async (c) => {
      const id = c.req.param('id') ?? '';
      const pid = c.req.param('pid') ?? '';
      const from = z.coerce.number().int().min(0).default(0).safeParse(c.req.query('from'));
      if (!from.success) throw new BerthError('invalid_request', 'from: a byte offset', { field: 'from' });
      const { signal } = c.req.raw;
      await sessions.withRunner(id, signal, (runner) => runner.getProcess(pid, signal));
      await audit.record(c.get('identity').user, { action: 'process.attached', target: pid, sessionId: id, detail: {} });
      return openProcessSocket(deps, id, pid, from.data);
    }),
  );
}
