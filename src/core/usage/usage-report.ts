import type { UsageQuery, UsageReport, UsageTotals } from '../../protocol/usage.ts';
import type { ModelUsageSum, Store } from '../ports/store.ts';

const maxRows = 1000;
const maxModels = 1000;

/** What models used, grouped as asked. `owner`: of whose sessions; `null`: of all. */
export async function reportUsage(reads: Store['read'], query: UsageQuery, owner: string | null): Promise<UsageReport> {
  const { by, session, turn, model, from, to } = query;
  const filter = { sessionId: session, turnId: turn, owner: owner ?? query.user, model, from, to };
  const [rows, [total], models] = await Promise.all([
    reads.modelUsage(filter, by, maxRows),
    reads.modelUsage(filter, [], 1),
    reads.modelUsage(filter, ['model'], maxModels),
  ]);
  return {
    rows: rows.map((row) => ({ ...row.group, ...totalsOf(row) })),
    total: totalsOf(total ?? none),
    unpricedModels: models.filter((each) => each.unpricedCalls > 0).map((each) => each.group.model ?? ''),
  };
}

const none: ModelUsageSum = {
  group: {},
  calls: 0,
  estimatedCalls: 0,
  unpricedCalls: 0,
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  costNanos: 0,
};

export function totalsOf({ group: _group, costNanos, ...sums }: ModelUsageSum): UsageTotals {
  const pricedCostUsd = costNanos / 1e9;
  return { ...sums, pricedCostUsd, costUsd: sums.unpricedCalls > 0 ? null : pricedCostUsd };
}
