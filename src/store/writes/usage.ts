import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { toJson } from '../json.ts';
import { modelUsageColumns, turnUsageColumns } from '../rows/usage.ts';
import type { Database } from '../schema.ts';

const added = [
  'calls',
  'estimated_calls',
  'unpriced_calls',
  'input_tokens',
  'output_tokens',
  'cache_read_tokens',
  'cache_write_tokens',
  'cost_nanos',
] as const;

type UsageWrites = Pick<StoreTransaction, 'addModelUsage' | 'saveTurnUsage' | 'saveUserBudget' | 'addBudgetRaise'>;

export function usageWrites(db: Kysely<Database>): UsageWrites {
  return {
    async addModelUsage(record) {
      const call = modelUsageColumns(record);
      await db
        .insertInto('model_usage')
        .values(call)
        .onConflict((on) =>
          on
            .columns(['session_id', 'turn_id', 'api', 'model', 'day'])
            .doUpdateSet((eb) => ({
              ...Object.fromEntries(added.map((name) => [name, eb(`model_usage.${name}`, '+', call[name])])),
              last_call_id: call.last_call_id,
              last_at: call.last_at,
            }))
            .where('model_usage.last_call_id', '!=', call.last_call_id),
        )
        .execute();
    },

    async saveUserBudget(user, budget, at) {
      if (budget === null) {
        await db.deleteFrom('user_budgets').where('user_id', '=', user).execute();
        return;
      }
      const settings = { budget: toJson(budget), updated_at: at };
      await db
        .insertInto('user_budgets')
        .values({ user_id: user, ...settings })
        .onConflict((on) => on.column('user_id').doUpdateSet(settings))
        .execute();
    },

    async addBudgetRaise({ scope, subject, day, measure, amount }) {
      await db
        .insertInto('budget_raises')
        .values({ scope, subject, day, measure, amount })
        .onConflict((on) =>
          on
            .columns(['scope', 'subject', 'day', 'measure'])
            .doUpdateSet((eb) => ({ amount: eb('budget_raises.amount', '+', amount) })),
        )
        .execute();
    },

    async saveTurnUsage(record) {
      const turn = turnUsageColumns(record);
      await db
        .insertInto('turn_usage')
        .values(turn)
        .onConflict((on) => on.column('turn_id').doUpdateSet({ active_ms: turn.active_ms }))
        .execute();
    },
  };
}
