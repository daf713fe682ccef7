import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { BerthError } from '../../protocol/errors.ts';
import { toAuditRecord } from '../rows/audit.ts';
import type { Database } from '../schema.ts';

export function auditReads(db: Kysely<Database>): Pick<StoreReads, 'audit' | 'auditHead'> {
  return {
    async audit({ sessionId, actor, action, target, since, until, after, before, order, limit }) {
      const rows = await db
        .selectFrom('audit')
        .selectAll()
        .$if(sessionId !== undefined, (query) => query.where('session_id', '=', sessionId!))
        .$if(actor !== undefined, (query) => query.where('actor', '=', actor!))
        .$if(action !== undefined, (query) => {
          if (!action!.endsWith('.*')) return query.where('action', '=', action!);
          const kind = action!.slice(0, -1);
          // All that begin with it, by the order of bytes: '/' comes after '.'.
          return query.where('action', '>=', kind).where('action', '<', `${kind.slice(0, -1)}/`);
        })
        .$if(target !== undefined, (query) => query.where('target', '=', target!))
        .$if(since !== undefined, (query) => query.where('at', '>=', since!))
        .$if(until !== undefined, (query) => query.where('at', '<', until!))
        .$if(after !== undefined, (query) => query.where('seq', '>', after!))
        .$if(before !== undefined, (query) => query.where('seq', '<', before!))
        .orderBy('seq', order === 'oldest' ? 'asc' : 'desc')
        .limit(limit)
        .execute();
      return rows.map(toAuditRecord);
    },
    async auditHead() {
      const head = await db.selectFrom('audit_head').select(['seq', 'hash']).executeTakeFirst();
      if (head === undefined) throw new BerthError('internal', 'the record of where the audit log ends is gone');
      return head;
    },
  };
}
