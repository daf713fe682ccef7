import { createHash } from 'node:crypto';
import type { AuditRecord } from '../ports/store.ts';

/** What the first entry follows. */
export const genesisHash = '0'.repeat(64);

/**
 * The hash of an entry: SHA-256 over the canonical JSON (RFC 8785) of all its other fields, the hash of the entry before
 * it among them. So no entry can be changed, put in, taken out or moved without changing every hash behind it.
 */
export function hashEntry({
  seq,
  at,
  actor,
  action,
  target,
  sessionId,
  detail,
  prevHash,
}: Omit<AuditRecord, 'hash'>): string {
  const text = canonicalJson({ seq, at, actor, action, target, sessionId, detail, prevHash });
  return createHash('sha256').update(text).digest('hex');
}

/**
 * JSON with one form for each value: keys in the order of their UTF-16 code units, no white space. JSON.stringify writes
 * numbers and strings as RFC 8785 wants them. Fields that are `undefined` are left out.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value)
      .filter(([, each]) => each !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
    return `{${fields.map(([key, each]) => `${JSON.stringify(key)}:${canonicalJson(each)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}
