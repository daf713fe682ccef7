import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Engine } from '../engine.ts';
import { create } from './tables.ts';

/** Credentials for models, and the wrapped keys that stored secrets are sealed with. */
export function keys(engine: Engine): Migration {
  const { id } = engine;
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await create(db, 'data_keys', engine, (table) =>
        table
          .addColumn('id', id, (c) => c.primaryKey())
          .addColumn('wrapper', 'text', (c) => c.notNull())
          .addColumn('wrapped', 'text', (c) => c.notNull())
          .addColumn('created_at', 'text', (c) => c.notNull())
          .addColumn('retired_at', 'text'),
      );
      await create(db, 'model_keys', engine, (table) =>
        table
          .addColumn('id', id, (c) => c.primaryKey())
          .addColumn('scope', id, (c) => c.notNull())
          .addColumn('subject', id, (c) => c.notNull())
          .addColumn('name', id, (c) => c.notNull())
          .addColumn('api', id, (c) => c.notNull())
          .addColumn('base_url', 'text')
          .addColumn('kind', 'text', (c) => c.notNull())
          .addColumn('sealed', 'text', (c) => c.notNull())
          .addColumn('expires_at', 'text')
          .addColumn('token_url', 'text')
          .addColumn('client_id', 'text')
          .addColumn('renewing_until', 'text')
          .addColumn('created_at', 'text', (c) => c.notNull())
          .addColumn('updated_at', 'text', (c) => c.notNull())
          .addUniqueConstraint('model_keys_by_name', ['scope', 'subject', 'name']),
      );
    },
  };
}
