import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Engine } from '../engine.ts';
import { create } from './tables.ts';

/** What a session's rest needs (its own times, its last use, its archiving), and snapshots. */
export function restingAndSnapshots(engine: Engine): Migration {
  const { id, big } = engine;
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema.alterTable('sessions').addColumn('fork_acp_session_id', 'text').execute();
      await db.schema.alterTable('sessions').addColumn('idle', 'text').execute();
      await db.schema.alterTable('sessions').addColumn('last_used_at', 'text').execute();
      await db.schema.alterTable('sessions').addColumn('archived_at', 'text').execute();
      await create(db, 'snapshots', engine, (table) =>
        table
          .addColumn('id', id, (c) => c.primaryKey())
          .addColumn('owner', id, (c) => c.notNull())
          .addColumn('name', id, (c) => c.notNull())
          .addColumn('state', 'text', (c) => c.notNull())
          .addColumn('memory', 'integer', (c) => c.notNull())
          .addColumn('host_id', id)
          .addColumn('provider', 'text', (c) => c.notNull())
          .addColumn('session_id', id, (c) => c.notNull())
          .addColumn('sandbox_id', id, (c) => c.notNull())
          .addColumn('source', 'text', (c) => c.notNull())
          .addColumn('size_bytes', big)
          .addColumn('created_at', 'text', (c) => c.notNull())
          .addUniqueConstraint('snapshots_by_name', ['owner', 'name']),
      );
    },
  };
}
