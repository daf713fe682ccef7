import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Engine } from '../engine.ts';
import { create } from './tables.ts';

/** Secrets of users and teams, sealed, with the hosts that they are for. */
export function secrets(engine: Engine): Migration {
  const { id } = engine;
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await create(db, 'secrets', engine, (table) =>
        table
          .addColumn('id', id, (c) => c.primaryKey())
          .addColumn('user', id, (c) => c.references('users.handle').onDelete('cascade'))
          .addColumn('team', id, (c) => c.references('teams.name').onDelete('cascade'))
          .addColumn('name', id, (c) => c.notNull())
          .addColumn('hosts', 'text', (c) => c.notNull())
          .addColumn('header', 'text', (c) => c.notNull())
          .addColumn('template', 'text', (c) => c.notNull())
          .addColumn('sealed', 'text', (c) => c.notNull())
          .addColumn('created_at', 'text', (c) => c.notNull())
          .addColumn('updated_at', 'text', (c) => c.notNull())
          .addUniqueConstraint('secrets_of_user', ['user', 'name'])
          .addUniqueConstraint('secrets_of_team', ['team', 'name']),
      );
    },
  };
}
