import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toPermission } from '../rows/permission.ts';
import type { Database } from '../schema.ts';

export function permissionReads(db: Kysely<Database>): Pick<StoreReads, 'permission' | 'openPermissions' | 'keptAnswers'> {
  return {
    async permission(sessionId, requestId) {
      const row = await db
        .selectFrom('permissions')
        .selectAll()
        .where('session_id', '=', sessionId)
        .where('request_id', '=', requestId)
        .executeTakeFirst();
      return row === undefined ? null : toPermission(row);
    },

    async keptAnswers() {
      const rows = await db
        .selectFrom('permissions')
        .selectAll()
        .where('state', '=', 'open')
        .where('answered_by', 'is not', null)
        .orderBy('requested_at')
        .execute();
      return rows.map(toPermission);
    },

    async openPermissions(sessionId) {
      const rows = await db
        .selectFrom('permissions')
        .selectAll()
        .where('session_id', '=', sessionId)
        .where('state', '=', 'open')
        .orderBy('requested_at')
        .orderBy('request_id')
        .execute();
      return rows.map(toPermission);
    },
  };
}
