import { ReadableStream as WebStream } from 'node:stream/web';
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import { fileInfo } from '../../protocol/api.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { AppDependencies, AppEnv, Router } from '../context.ts';
import { failures, json, jsonBody, queryFlag, sessionParams, tokenNeeded, workspacePath } from '../schemas.ts';

const maxFileBytes = 5 * 1024 ** 3;
/** So that a dead connection is noticed while nothing changes. */
const heartbeatMs = 15_000;
const pathQuery = z.object({ path: workspacePath });

/** Files of a session's sandbox. Relative paths are below the session's working directory. */
export function fileRoutes(app: Router, deps: AppDependencies): void {
  const { sessions, audit } = deps.core;

  /** What is about to be done; a session that is not there has nothing to be recorded of. */
  async function recorded(
    c: Context<AppEnv>,
    sessionId: string,
    action: 'file.read' | 'file.written' | 'file.changed',
    target: string,
    detail: Record<string, unknown> = {},
  ): Promise<void> {
    await sessions.get(sessionId);
    await audit.record(c.get('identity').user, { action, target, sessionId, detail });
  }

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/files',
      security: tokenNeeded,
      request: { params: sessionParams, query: z.object({ path: workspacePath.default('.') }) },
      responses: { 200: json(z.object({ files: z.array(fileInfo) }), 'The entries of a directory'), ...failures },
    }),
    async (c) => {
      const { signal } = c.req.raw;
      const { path } = c.req.valid('query');
      const files = await sessions.withRunner(c.req.valid('param').id, signal, (runner, session) =>
        runner.listFiles(absolute(session.cwd, path), signal),
      );
      return c.json({ files }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/files/stat',
      security: tokenNeeded,
      request: { params: sessionParams, query: pathQuery },
      responses: { 200: json(fileInfo, 'The entry itself; a symbolic link is not followed'), ...failures },
    }),
    async (c) => {
      const { signal } = c.req.raw;
      const { path } = c.req.valid('query');
      const info = await sessions.withRunner(c.req.valid('param').id, signal, (runner, session) =>
        runner.statFile(absolute(session.cwd, path), signal),
      );
      return c.json(info, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/files/content',
      security: tokenNeeded,
      request: {
        params: sessionParams,
        query: pathQuery.extend({
          offset: z.coerce.number().int().min(0).optional(),
          lengthBytes: z.coerce.number().int().min(0).optional(),
        }),
      },
      responses: {
        200: { description: 'The bytes', content: { 'application/octet-stream': { schema: z.string() } } },
        ...failures,
      },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { path, offset, lengthBytes } = c.req.valid('query');
      const { signal } = c.req.raw;
      await recorded(c, id, 'file.read', path);
      const release = sessions.hold(id);
      try {
        const body = await sessions.withRunner(id, signal, (runner, session) =>
          runner.readFile(
            absolute(session.cwd, path),
            { ...(offset === undefined ? {} : { offset }), ...(lengthBytes === undefined ? {} : { lengthBytes }) },
            signal,
          ),
        );
        return c.body(WebStream.from(untilEnd(body, release)) as ReadableStream<Uint8Array>, 200, {
          'content-type': 'application/octet-stream',
          // What an agent wrote is never shown as a page of ours.
          'content-disposition': 'attachment',
          'x-content-type-options': 'nosniff',
        });
      } catch (error) {
        release();
        throw error;
      }
    },
  );

  app.openapi(
    createRoute({
      method: 'put',
      path: '/api/sessions/{id}/files/content',
      security: tokenNeeded,
      request: {
        params: sessionParams,
        query: pathQuery.extend({
          mode: z.string().regex(/^[0-7]{3,4}$/, 'octal, such as 644').optional(),
          makeParents: queryFlag,
        }),
      },
      responses: { 200: json(fileInfo, 'The file, replaced whole or not at all'), ...failures },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { path, mode, makeParents } = c.req.valid('query');
      const { signal } = c.req.raw;
      await recorded(c, id, 'file.written', path);
      const info = await sessions.withRunner(id, signal, (runner, session) =>
        runner.writeFile(
          absolute(session.cwd, path),
          bodyOf(c),
          { makeParents, ...(mode === undefined ? {} : { mode: Number.parseInt(mode, 8) }) },
          signal,
        ),
      );
      return c.json(info, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/files/mkdir',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(z.strictObject({ path: workspacePath, parents: z.boolean().default(true) })) },
      responses: { 200: json(fileInfo, 'The directory'), ...failures },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { path, parents } = c.req.valid('json');
      const { signal } = c.req.raw;
      await recorded(c, id, 'file.changed', path, { change: 'directory made' });
      const info = await sessions.withRunner(id, signal, (runner, session) =>
        runner.makeDirectory(absolute(session.cwd, path), { parents }, signal),
      );
      return c.json(info, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/sessions/{id}/files/move',
      security: tokenNeeded,
      request: { params: sessionParams, ...jsonBody(z.strictObject({ from: workspacePath, to: workspacePath })) },
      responses: { 200: json(fileInfo, 'The entry at its new place'), ...failures },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { from, to } = c.req.valid('json');
      const { signal } = c.req.raw;
      await recorded(c, id, 'file.changed', from, { change: 'moved', to });
      const info = await sessions.withRunner(id, signal, (runner, session) =>
        runner.moveFile(absolute(session.cwd, from), absolute(session.cwd, to), signal),
      );
      return c.json(info, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/sessions/{id}/files',
      security: tokenNeeded,
      request: { params: sessionParams, query: pathQuery.extend({ recursive: queryFlag }) },
      responses: { 204: { description: 'It is gone' }, ...failures },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { path, recursive } = c.req.valid('query');
      const { signal } = c.req.raw;
      await recorded(c, id, 'file.changed', path, { change: 'removed', recursive });
      await sessions.withRunner(id, signal, (runner, session) =>
        runner.removeFile(absolute(session.cwd, path), { recursive }, signal),
      );
      return c.body(null, 204);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/sessions/{id}/files/watch',
      security: tokenNeeded,
      request: { params: sessionParams, query: z.object({ path: workspacePath.default('.'), recursive: queryFlag }) },
      responses: {
        200: { description: 'Server-sent events of changes', content: { 'text/event-stream': { schema: z.string() } } },
        ...failures,
      },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { path, recursive } = c.req.valid('query');
      const session = await sessions.get(id);
      return streamSSE(c, async (stream) => {
        const stop = new AbortController();
        stream.onAbort(() => stop.abort());
        const heartbeat = setInterval(() => void stream.write(': heartbeat\n\n'), heartbeatMs);
        try {
          await sessions.withRunner(id, stop.signal, async (runner) => {
            for await (const change of runner.watchFiles(absolute(session.cwd, path), { recursive }, stop.signal)) {
              await stream.writeSSE({ data: JSON.stringify(change) });
            }
          });
        } finally {
          clearInterval(heartbeat);
        }
      });
    },
  );
}

function absolute(cwd: string, path: string): string {
  if (path.includes('\0')) throw new BerthError('path_not_allowed', 'a path has no NUL', { field: 'path' });
  if (path.startsWith('/')) return path;
  return path === '.' ? cwd : `${cwd}/${path}`;
}

/** The bytes of a stream; calls back when they end, however they end. */
async function* untilEnd(body: ReadableStream<Uint8Array>, release: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } finally {
    release();
  }
}

async function* bodyOf(c: Context<AppEnv>): AsyncGenerator<Uint8Array> {
  const { body } = c.req.raw;
  if (body === null) return;
  let total = 0;
  for await (const chunk of body) {
    total += chunk.length;
    if (total > maxFileBytes) {
      throw new BerthError('payload_too_large', `a file has at most ${maxFileBytes} bytes`, { field: 'body' });
    }
    yield chunk;
  }
}
