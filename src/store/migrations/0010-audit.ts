import { sql, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { genesisHash } from '../../core/audit/chain.ts';
import type { Engine } from '../engine.ts';
import { create, index } from './tables.ts';

/** The audit log and its end. */
export function audit(engine: Engine): Migration {
  const { id, big } = engine;
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await create(db, 'audit', engine, (table) =>
        table
          .addColumn('seq', big, (c) => c.primaryKey())
          .addColumn('at', 'text', (c) => c.notNull())
          .addColumn('actor', id, (c) => c.notNull())
          .addColumn('action', id, (c) => c.notNull())
          .addColumn('target', 'text')
          .addColumn('session_id', id)
          .addColumn('detail', 'text', (c) => c.notNull())
          .addColumn('prev_hash', 'text', (c) => c.notNull())
          .addColumn('hash', 'text', (c) => c.notNull()),
      );
      await index(db, 'audit_by_session', 'audit', ['session_id', 'seq']);
      await index(db, 'audit_by_actor', 'audit', ['actor', 'seq']);
      await create(db, 'audit_head', engine, (table) =>
        table
          .addColumn('singleton', 'integer', (c) => c.primaryKey().check(sql`singleton = 1`))
          .addColumn('seq', big, (c) => c.notNull())
          .addColumn('hash', 'text', (c) => c.notNull()),
      );
      await sql`insert into audit_head (singleton, seq, hash) values (1, 0, ${sql.lit(genesisHash)})`.execute(db);
      await engine.sealAudit(db);
    },
  };
}
