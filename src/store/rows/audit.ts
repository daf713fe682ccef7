import type { Insertable, Selectable } from 'kysely';
import { canonicalJson } from '../../core/audit/chain.ts';
import type { AuditRecord } from '../../core/ports/store.ts';
import { parseObject } from '../json.ts';
import type { AuditTable } from '../schema.ts';

export function auditColumns(entry: AuditRecord): Insertable<AuditTable> {
  return {
    seq: entry.seq,
    at: entry.at,
    actor: entry.actor,
    action: entry.action,
    target: entry.target,
    session_id: entry.sessionId,
    detail: canonicalJson(entry.detail),
    prev_hash: entry.prevHash,
    hash: entry.hash,
  };
}

export function toAuditRecord(row: Selectable<AuditTable>): AuditRecord {
  return {
    seq: row.seq,
    at: row.at,
    actor: row.actor,
    action: row.action,
    target: row.target,
    sessionId: row.session_id,
    detail: parseDetail(row.detail),
    prevHash: row.prev_hash,
    hash: row.hash,
  };
}

/** What was tampered with must be readable still, to be found: its hash is not that of what stands here. */
function parseDetail(stored: string): Record<string, unknown> {
  try {
    return parseObject('audit.detail', stored);
  } catch {
    return { unreadable: stored };
  }
}
