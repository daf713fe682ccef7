import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Engine } from '../engine.ts';
import { create } from './tables.ts';

/** How much users and teams may have. */
export function quotas(engine: Engine): Migration {
  const { id } = engine;
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await create(db, 'quotas', engine, (table) =>
        table
          .addColumn('kind', id, (c) => c.notNull())
          .addColumn('name', id, (c) => c.notNull())
          .addColumn('quota', 'text', (c) => c.notNull())
          .addColumn('updated_at', 'text', (c) => c.notNull())
          .addPrimaryKeyConstraint('quotas_key', ['kind', 'name']),
      );
    },
  };
}
