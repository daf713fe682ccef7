import { ReadableStream as WebStream } from 'node:stream/web';
import { createRoute, z } from '@hono/zod-openapi';
import type { TypedResponse } from 'hono';
import type { AuditFilter } from '../../core/ports/store.ts';
import { auditHash, auditPage, auditVerdict, type AuditEntry } from '../../protocol/audit.ts';
import type { AppDependencies, Router } from '../context.ts';
import { failures, json, tokenNeeded } from '../schemas.ts';

const exportTimeoutMs = 10 * 60_000;
const verifyTimeoutMs = 60_000;

const filters = z.object({
  session: z.string().min(1).max(100).optional(),
  actor: z.string().min(1).max(200).optional(),
  action: z
    .string()
    .regex(/^[a-z_]+\.(?:[a-z_]+|\*)$/, 'an action such as session.created, or all of a kind: session.*')
    .max(100)
    .optional(),
  since: z.iso.datetime().optional(),
  until: z.iso.datetime().optional(),
});

/** Who did what, for those who run the installation. */
export function auditRoutes(app: Router, { core }: AppDependencies): void {
  const { audit } = core;

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/audit',
      security: tokenNeeded,
      request: {
        query: filters.extend({
          before: z.coerce.number().int().positive().optional(),
          limit: z.coerce.number().int().min(1).max(500).default(50),
        }),
      },
      responses: { 200: json(auditPage, 'Newest first'), ...failures },
    }),
    async (c) => {
      const { before, limit, ...query } = c.req.valid('query');
      return c.json(await audit.list({ ...filterOf(query), limit, ...(before === undefined ? {} : { before }) }), 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/audit/export',
      security: tokenNeeded,
      request: { query: filters.extend({ after: z.coerce.number().int().nonnegative().default(0) }) },
      responses: {
        200: {
          description: 'Oldest first, one entry a line; cut short when the log cannot be read on',
          content: { 'application/jsonl': { schema: z.string() } },
        },
        ...failures,
      },
    }),
    (c) => {
      const { after, ...query } = c.req.valid('query');
      const signal = AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(exportTimeoutMs)]);
      const lines = toLines(audit.export({ ...filterOf(query), after }, signal));
      const response = c.body(WebStream.from(lines) as ReadableStream<Uint8Array>, 200, {
        'content-type': 'application/jsonl',
        'cache-control': 'no-store',
      });
      // The router's types take every media type with "json" in its name for one document.
      return response as unknown as TypedResponse<string, 200, 'json'>;
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/audit/verify',
      security: tokenNeeded,
      request: { query: z.object({ head: auditHash.optional() }) },
      responses: {
        200: json(auditVerdict, 'Whether every entry is as it was written; else the first that is not'),
        ...failures,
      },
    }),
    async (c) => {
      const signal = AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(verifyTimeoutMs)]);
      return c.json(await audit.verify(c.req.valid('query').head ?? null, signal), 200);
    },
  );
}

function filterOf({ session, since, until, ...query }: z.infer<typeof filters>): Omit<AuditFilter, 'order' | 'limit'> {
  return {
    ...(session === undefined ? {} : { sessionId: session }),
    ...(query.actor === undefined ? {} : { actor: query.actor }),
    ...(query.action === undefined ? {} : { action: query.action }),
    ...(since === undefined ? {} : { since: utc(since) }),
    ...(until === undefined ? {} : { until: utc(until) }),
  };
}

/** As times are stored, so that they compare as text. */
function utc(time: string): string {
  return new Date(time).toISOString();
}

async function* toLines(entries: AsyncIterable<AuditEntry>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  for await (const entry of entries) yield encoder.encode(`${JSON.stringify(entry)}\n`);
}
