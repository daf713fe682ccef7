import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { complete } from '../rows/columns.ts';
import { sessionShareColumns, teamColumns, userColumns } from '../rows/user.ts';
import type { Database } from '../schema.ts';
import { requireRow } from './require-row.ts';

type UserWrites = Pick<
  StoreTransaction,
  | 'insertUser'
  | 'updateUser'
  | 'deleteUser'
  | 'insertTeam'
  | 'deleteTeam'
  | 'upsertTeamMember'
  | 'deleteTeamMember'
  | 'upsertSessionShare'
  | 'deleteSessionShare'
>;

export function userWrites(db: Kysely<Database>): UserWrites {
  const forgetShares = (kind: string, name: string) =>
    db.deleteFrom('session_shares').where('subject_kind', '=', kind).where('subject', '=', name).execute();
  const forgetQuota = (kind: string, name: string) =>
    db.deleteFrom('quotas').where('kind', '=', kind).where('name', '=', name).execute();

  return {
    async insertUser(record) {
      await db
        .insertInto('users')
        .values(complete(userColumns(record)))
        .execute();
    },

    async updateUser(handle, values) {
      const result = await db
        .updateTable('users')
        .set({ ...userColumns(values), handle })
        .where('handle', '=', handle)
        .executeTakeFirstOrThrow();
      requireRow(result, 'user', handle);
    },

    async deleteUser(handle) {
      await forgetShares('user', handle);
      await forgetQuota('user', handle);
      await db.deleteFrom('users').where('handle', '=', handle).execute();
    },

    async insertTeam(record) {
      await db
        .insertInto('teams')
        .values(complete(teamColumns(record)))
        .execute();
    },

    async deleteTeam(name) {
      await forgetShares('team', name);
      await forgetQuota('team', name);
      await db.updateTable('sessions').set({ team: null }).where('team', '=', name).execute();
      await db.deleteFrom('teams').where('name', '=', name).execute();
    },

    async upsertTeamMember(record) {
      await db
        .insertInto('team_members')
        .values(record)
        .onConflict((conflict) => conflict.columns(['team', 'member']).doUpdateSet({ role: record.role }))
        .execute();
    },

    async deleteTeamMember(team, member) {
      await db.deleteFrom('team_members').where('team', '=', team).where('member', '=', member).execute();
    },

    async upsertSessionShare(record) {
      const { rights, by, created_at } = complete(sessionShareColumns(record));
      await db
        .insertInto('session_shares')
        .values(complete(sessionShareColumns(record)))
        .onConflict((conflict) =>
          conflict.columns(['session_id', 'subject_kind', 'subject']).doUpdateSet({ rights, by, created_at }),
        )
        .execute();
    },

    async deleteSessionShare(sessionId, { kind, name }) {
      await db
        .deleteFrom('session_shares')
        .where('session_id', '=', sessionId)
        .where('subject_kind', '=', kind)
        .where('subject', '=', name)
        .execute();
    },
  };
}
