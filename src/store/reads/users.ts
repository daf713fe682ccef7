import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toSessionShare, toTeam, toTeamMember, toUser } from '../rows/user.ts';
import type { Database } from '../schema.ts';

type UserReads = Pick<StoreReads, 'user' | 'users' | 'team' | 'teams' | 'teamMembers' | 'sessionShares'>;

export function userReads(db: Kysely<Database>): UserReads {
  return {
    async user(handle) {
      const row = await db.selectFrom('users').selectAll().where('handle', '=', handle).executeTakeFirst();
      return row === undefined ? null : toUser(row);
    },

    async users() {
      return (await db.selectFrom('users').selectAll().orderBy('handle').execute()).map(toUser);
    },

    async team(name) {
      const row = await db.selectFrom('teams').selectAll().where('name', '=', name).executeTakeFirst();
      return row === undefined ? null : toTeam(row);
    },

    async teams() {
      return (await db.selectFrom('teams').selectAll().orderBy('name').execute()).map(toTeam);
    },

    async teamMembers({ team, member }) {
      let query = db.selectFrom('team_members').selectAll();
      if (team !== undefined) query = query.where('team', '=', team);
      if (member !== undefined) query = query.where('member', '=', member);
      return (await query.orderBy('team').orderBy('member').execute()).map(toTeamMember);
    },

    async sessionShares(sessionId) {
      const rows = await db
        .selectFrom('session_shares')
        .selectAll()
        .where('session_id', '=', sessionId)
        .orderBy('subject_kind')
        .orderBy('subject')
        .execute();
      return rows.map(toSessionShare);
    },
  };
}
