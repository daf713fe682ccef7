import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { quota } from '../../protocol/quota.ts';
import { quotaSubject } from '../../protocol/quota-subject.ts';
import { check, fromJson } from '../json.ts';
import { storedLimits } from '../rows/values.ts';
import type { Database } from '../schema.ts';

export function quotaReads(db: Kysely<Database>): Pick<StoreReads, 'quotas' | 'sessionTotals' | 'slotHolders'> {
  return {
    async quotas() {
      const rows = await db.selectFrom('quotas').selectAll().orderBy('kind').orderBy('name').execute();
      return rows.map((row) => ({
        subject: { kind: check(quotaSubject.shape.kind, 'quotas.kind', row.kind), name: row.name },
        quota: fromJson(quota, 'quotas.quota', row.quota),
      }));
    },

    async sessionTotals({ kind, name }) {
      const rows = await db
        .selectFrom('sessions')
        .select('limits')
        .where(kind === 'user' ? 'owner' : 'team', '=', name)
        .execute();
      const limits = rows.map((row) => fromJson(storedLimits, 'sessions.limits', row.limits));
      return { sessions: rows.length, diskBytes: limits.reduce((sum, { diskBytes }) => sum + diskBytes, 0) };
    },

    slotHolders: (statuses) =>
      db
        .selectFrom('sandboxes')
        .innerJoin('sessions', 'sessions.sandbox_id', 'sandboxes.id')
        .select(['sessions.id as sessionId', 'sessions.owner', 'sessions.team'])
        .where('sandboxes.status', 'in', [...statuses])
        .execute(),
  };
}
