import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
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

export function usageWrites(db: Kysely<Database>): Pick<StoreTransaction, 'addModelUsage' | 'saveTurnUsage'> {
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
