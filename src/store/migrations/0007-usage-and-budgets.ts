import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Engine } from '../engine.ts';
import { create, index } from './tables.ts';

/**
 * What models and turns used, and the limits on it. No foreign keys: what was used stays used, and counts
 * against its user's budget, when its session is deleted.
 */
export function usageAndBudgets(engine: Engine): Migration {
  const { id, big } = engine;
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await create(db, 'model_usage', engine, (table) =>
        table
          .addColumn('session_id', id, (c) => c.notNull())
          .addColumn('turn_id', id, (c) => c.notNull())
          .addColumn('owner', id, (c) => c.notNull())
          .addColumn('api', id, (c) => c.notNull())
          .addColumn('model', id, (c) => c.notNull())
          .addColumn('day', id, (c) => c.notNull())
          .addColumn('calls', big, (c) => c.notNull())
          .addColumn('estimated_calls', big, (c) => c.notNull())
          .addColumn('unpriced_calls', big, (c) => c.notNull())
          .addColumn('input_tokens', big, (c) => c.notNull())
          .addColumn('output_tokens', big, (c) => c.notNull())
          .addColumn('cache_read_tokens', big, (c) => c.notNull())
          .addColumn('cache_write_tokens', big, (c) => c.notNull())
          .addColumn('cost_nanos', big, (c) => c.notNull())
          .addColumn('last_call_id', id, (c) => c.notNull())
          .addColumn('first_at', 'text', (c) => c.notNull())
          .addColumn('last_at', 'text', (c) => c.notNull())
          .addPrimaryKeyConstraint('model_usage_key', ['session_id', 'turn_id', 'api', 'model', 'day']),
      );
      await index(db, 'model_usage_by_owner', 'model_usage', ['owner', 'day']);
      await create(db, 'turn_usage', engine, (table) =>
        table
          .addColumn('turn_id', id, (c) => c.primaryKey())
          .addColumn('session_id', id, (c) => c.notNull())
          .addColumn('owner', id, (c) => c.notNull())
          .addColumn('day', id, (c) => c.notNull())
          .addColumn('active_ms', big, (c) => c.notNull()),
      );
      await index(db, 'turn_usage_by_session', 'turn_usage', ['session_id']);
      await index(db, 'turn_usage_by_owner', 'turn_usage', ['owner', 'day']);
      await db.schema.alterTable('sessions').addColumn('budget', 'text').execute();
      await create(db, 'user_budgets', engine, (table) =>
        table
          .addColumn('user_id', id, (c) => c.primaryKey())
          .addColumn('budget', 'text', (c) => c.notNull())
          .addColumn('updated_at', 'text', (c) => c.notNull()),
      );
      await create(db, 'budget_raises', engine, (table) =>
        table
          .addColumn('scope', id, (c) => c.notNull())
          .addColumn('subject', id, (c) => c.notNull())
          .addColumn('day', id, (c) => c.notNull())
          .addColumn('measure', id, (c) => c.notNull())
          .addColumn('amount', big, (c) => c.notNull())
          .addPrimaryKeyConstraint('budget_raises_key', ['scope', 'subject', 'day', 'measure']),
      );
    },
  };
}
