import { sql, type Kysely } from 'kysely';
import type { ModelUsageFilter, StoreReads } from '../../core/ports/store.ts';
import type { UsageDimension } from '../../protocol/usage.ts';
import { toModelUsageSum, usageColumns } from '../rows/usage.ts';
import { fromJson } from '../json.ts';
import { storedUserBudget } from '../rows/values.ts';
import type { Database } from '../schema.ts';

type UsageReads = Pick<StoreReads, 'modelCaller' | 'modelUsage' | 'turnUsage' | 'userBudget' | 'budgetRaise'>;

export function usageReads(db: Kysely<Database>): UsageReads {
  return {
    async modelCaller(sessionId) {
      const row = await db
        .selectFrom('sessions')
        // Literals, so that the index over active turns is used; it makes them one at most for each session.
        .leftJoin('turns', (join) =>
          join
            .onRef('turns.session_id', '=', 'sessions.id')
            .on('turns.state', 'in', [sql.lit('starting'), sql.lit('running')]),
        )
        .select(['sessions.owner', 'turns.id as turn_id'])
        .where('sessions.id', '=', sessionId)
        .where('sessions.deleting_at', 'is', null)
        .executeTakeFirst();
      return row === undefined ? null : { owner: row.owner, turnId: row.turn_id };
    },

    async modelUsage(filter, by, limit) {
      let query = db
        .selectFrom('model_usage')
        .where((eb) => eb.and(conditions(filter)))
        .select(({ fn }) => [
          fn.sum<number | string>('calls').as('calls'),
          fn.sum<number | string>('estimated_calls').as('estimated_calls'),
          fn.sum<number | string>('unpriced_calls').as('unpriced_calls'),
          fn.sum<number | string>('input_tokens').as('input_tokens'),
          fn.sum<number | string>('output_tokens').as('output_tokens'),
          fn.sum<number | string>('cache_read_tokens').as('cache_read_tokens'),
          fn.sum<number | string>('cache_write_tokens').as('cache_write_tokens'),
          fn.sum<number | string>('cost_nanos').as('cost_nanos'),
        ])
        // Without a group there is one row of sums over none: it is no use of anything.
        .having(({ fn }) => fn.countAll(), '>', 0)
        .limit(limit);
      for (const dimension of by) query = query.select(usageColumns[dimension]).groupBy(usageColumns[dimension]);
      for (const dimension of inOrder(by)) {
        query = query.orderBy(usageColumns[dimension], dimension === 'day' ? 'desc' : 'asc');
      }
      return (await query.execute()).map((row) => toModelUsageSum(row, by));
    },

    async userBudget(user) {
      const row = await db.selectFrom('user_budgets').select('budget').where('user_id', '=', user).executeTakeFirst();
      return row === undefined ? null : fromJson(storedUserBudget, 'user_budgets.budget', row.budget);
    },

    async budgetRaise({ scope, subject, day, measure }) {
      const row = await db
        .selectFrom('budget_raises')
        .select('amount')
        .where('scope', '=', scope)
        .where('subject', '=', subject)
        .where('day', '=', day)
        .where('measure', '=', measure)
        .executeTakeFirst();
      return row?.amount ?? 0;
    },

    async turnUsage(filter) {
      const row = await db
        .selectFrom('turn_usage')
        .where((eb) => eb.and(conditions(filter)))
        .select(({ fn }) => [
          fn.countAll<number | string>().as('turns'),
          fn.sum<number | string | null>('active_ms').as('active_ms'),
        ])
        .executeTakeFirstOrThrow();
      return { turns: Number(row.turns), activeMs: Number(row.active_ms ?? 0) };
    },
  };
}

function inOrder(by: readonly UsageDimension[]): UsageDimension[] {
  return [...by].sort((a, b) => Number(b === 'day') - Number(a === 'day'));
}

function conditions({ sessionId, owner, turnId, model, from, to }: ModelUsageFilter) {
  const wanted: ReturnType<typeof sql<boolean>>[] = [];
  if (sessionId !== undefined) wanted.push(sql<boolean>`session_id = ${sessionId}`);
  if (owner !== undefined) wanted.push(sql<boolean>`owner = ${owner}`);
  if (turnId !== undefined) wanted.push(sql<boolean>`turn_id = ${turnId}`);
  if (model !== undefined) wanted.push(sql<boolean>`model = ${model}`);
  if (from !== undefined) wanted.push(sql<boolean>`day >= ${from}`);
  if (to !== undefined) wanted.push(sql<boolean>`day <= ${to}`);
  return wanted;
}
