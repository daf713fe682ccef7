import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { isBudgetQuestion } from './budget-questions.ts';
import { toPermission } from '../rows/permission.ts';
import type { Database } from '../schema.ts';

type PermissionReads = Pick<
  StoreReads,
  'permission' | 'openPermissions' | 'permissionsOfTurn' | 'openBudgetQuestions' | 'keptAnswers'
>;

export function permissionReads(db: Kysely<Database>): PermissionReads {
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

    async permissionsOfTurn(sessionId, turnId) {
      const rows = await db
        .selectFrom('permissions')
        .selectAll()
        .where('session_id', '=', sessionId)
        .where('turn_id', '=', turnId)
        .orderBy('requested_at')
        .execute();
      return rows.map(toPermission);
    },

    async openBudgetQuestions() {
      const rows = await db
        .selectFrom('permissions')
        .selectAll()
        .where('state', '=', 'open')
        .where(isBudgetQuestion('request_id'))
        .orderBy('requested_at')
        .execute();
      return rows.map(toPermission);
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
