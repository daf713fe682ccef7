import { auditEntry, auditPage, auditVerdict, type AuditEntry, type AuditPage, type AuditVerdict } from '../../protocol/audit.ts';
import { BerthError } from '../../protocol/errors.ts';
import { networkFailure, type Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

export interface AuditQuery {
  session?: string | undefined;
  /** `user:<name>`, `session:<id>`, `server`, ... */
  actor?: string | undefined;
  /** One, or all of a kind: `session.*`. */
  action?: string | undefined;
  /** ISO 8601, at or after. */
  since?: string | undefined;
  /** ISO 8601, before. */
  until?: string | undefined;
}

/** The audit log. Throws `forbidden` for who may not see the whole installation. */
export interface AuditResource {
  /** Newest first; `before` is the `next` of the page before. */
  list(query?: AuditQuery & { before?: number; limit?: number }, options?: CallOptions): Promise<AuditPage>;
  /** Oldest first, all that match, as they come. Throws `unavailable` when the stream breaks. */
  export(query?: AuditQuery & { after?: number }, options?: CallOptions): AsyncGenerator<AuditEntry>;
  /** `head`: a hash that was kept elsewhere, which the log must still have. */
  verify(head?: string, options?: CallOptions): Promise<AuditVerdict>;
}

export function createAuditResource(transport: Transport): AuditResource {
  return {
    list: (query = {}, options) => transport.json(auditPage, 'GET', '/api/audit', { query: { ...query }, ...options }),
    async *export(query = {}, options) {
      const { body } = await transport.send('GET', '/api/audit/export', { query: { ...query }, ...options });
      if (body === null) return;
      for await (const line of lines(body, transport.baseUrl)) yield parseEntry(line);
    },
    verify: (head, options) => transport.json(auditVerdict, 'GET', '/api/audit/verify', { query: { head }, ...options }),
  };
}

async function* lines(body: ReadableStream<Uint8Array<ArrayBuffer>>, baseUrl: string): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const parts = (rest + value).split('\n');
      rest = parts.pop() ?? '';
      yield* parts;
    }
  } catch (error) {
    throw networkFailure(error, baseUrl);
  } finally {
    await reader.cancel().catch(() => {});
  }
  if (rest !== '') yield rest;
}

function parseEntry(line: string): AuditEntry {
  let value: unknown = null;
  try {
    value = JSON.parse(line);
  } catch {
    // Found below.
  }
  const parsed = auditEntry.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new BerthError('upstream_failed', 'a line of the exported audit log has an unexpected shape');
}
