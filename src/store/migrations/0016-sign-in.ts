import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Engine } from '../engine.ts';
import { create, index } from './tables.ts';

/** Accounts of other services by which users sign in, and devices that wait to be let in. */
export function signIn(engine: Engine): Migration {
  const { id } = engine;
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await create(db, 'linked_accounts', engine, (table) =>
        table
          .addColumn('id', id, (c) => c.primaryKey())
          .addColumn('issuer', id, (c) => c.notNull())
          .addColumn('subject', id, (c) => c.notNull())
          .addColumn('owner', id, (c) => c.notNull().references('users.handle').onDelete('cascade'))
          .addColumn('label', 'text', (c) => c.notNull())
          .addColumn('origin', 'text', (c) => c.notNull())
          .addColumn('created_at', 'text', (c) => c.notNull())
          .addColumn('last_used_at', 'text')
          .addUniqueConstraint('linked_accounts_subject', ['issuer', 'subject']),
      );
      await index(db, 'linked_accounts_by_owner', 'linked_accounts', ['owner']);
      await create(db, 'device_requests', engine, (table) =>
        table
          .addColumn('device_hash', id, (c) => c.primaryKey())
          .addColumn('code_hash', id, (c) => c.notNull())
          .addColumn('client', 'text', (c) => c.notNull())
          .addColumn('address', 'text', (c) => c.notNull())
          .addColumn('scopes', 'text', (c) => c.notNull())
          .addColumn('state', 'text', (c) => c.notNull())
          .addColumn('owner', id, (c) => c.references('users.handle').onDelete('cascade'))
          .addColumn('created_at', 'text', (c) => c.notNull())
          .addColumn('expires_at', 'text', (c) => c.notNull())
          .addUniqueConstraint('device_requests_code', ['code_hash']),
      );
      await index(db, 'device_requests_by_end', 'device_requests', ['expires_at']);
    },
  };
}
