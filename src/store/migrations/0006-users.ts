import { sql, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Engine } from '../engine.ts';
import { create, index } from './tables.ts';

/** Accounts, teams, what is shared with whom, and what a token may be used for. Whoever has a token gets an account. */
export function users(engine: Engine): Migration {
  const { id } = engine;
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await create(db, 'users', engine, (table) =>
        table
          .addColumn('handle', id, (c) => c.primaryKey())
          .addColumn('display_name', 'text', (c) => c.notNull())
          .addColumn('role', 'text', (c) => c.notNull())
          .addColumn('disabled_at', 'text')
          .addColumn('created_at', 'text', (c) => c.notNull()),
      );
      await create(db, 'teams', engine, (table) =>
        table
          .addColumn('name', id, (c) => c.primaryKey())
          .addColumn('display_name', 'text', (c) => c.notNull())
          .addColumn('created_at', 'text', (c) => c.notNull()),
      );
      await create(db, 'team_members', engine, (table) =>
        table
          .addColumn('team', id, (c) => c.notNull().references('teams.name').onDelete('cascade'))
          .addColumn('member', id, (c) => c.notNull().references('users.handle').onDelete('cascade'))
          .addColumn('role', 'text', (c) => c.notNull())
          .addPrimaryKeyConstraint('team_members_key', ['team', 'member']),
      );
      await index(db, 'team_members_by_member', 'team_members', ['member']);
      await create(db, 'session_shares', engine, (table) =>
        table
          .addColumn('session_id', id, (c) => c.notNull().references('sessions.id').onDelete('cascade'))
          .addColumn('subject_kind', 'text', (c) => c.notNull())
          .addColumn('subject', id, (c) => c.notNull())
          .addColumn('rights', 'text', (c) => c.notNull())
          .addColumn('by', id, (c) => c.notNull())
          .addColumn('created_at', 'text', (c) => c.notNull())
          .addPrimaryKeyConstraint('session_shares_key', ['session_id', 'subject_kind', 'subject']),
      );
      await index(db, 'session_shares_by_subject', 'session_shares', ['subject_kind', 'subject']);
      await db.schema.alterTable('sessions').addColumn('team', id).execute();
      await index(db, 'sessions_by_team', 'sessions', ['team']);
      for (const column of ['scopes', 'expires_at', 'last_used_at', 'revoked_at']) {
        await db.schema.alterTable('tokens').addColumn(column, 'text').execute();
      }
      await index(db, 'tokens_by_owner', 'tokens', ['owner']);
      // `owner` is the machine's own user, the one that every installation has.
      await sql`
        insert into users (handle, display_name, role, disabled_at, created_at)
        select owner, owner, case when owner = 'owner' then 'owner' else 'member' end, null, min(created_at)
        from tokens group by owner`.execute(db);
    },
  };
}
