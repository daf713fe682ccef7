import type { Insertable } from 'kysely';
import type { ModelUsageRecord, ModelUsageSum, TurnUsageRecord } from '../../core/ports/store.ts';
import type { UsageDimension } from '../../protocol/usage.ts';
import type { ModelUsageTable, TurnUsageTable } from '../schema.ts';

/** What a report is grouped by, as columns. */
export const usageColumns = {
  session: 'session_id',
  user: 'owner',
  turn: 'turn_id',
  model: 'model',
  day: 'day',
} as const satisfies Record<UsageDimension, keyof ModelUsageTable>;

/** A sum of one call. */
export function modelUsageColumns(call: ModelUsageRecord): Insertable<ModelUsageTable> {
  return {
    session_id: call.sessionId,
    turn_id: call.turnId ?? '',
    owner: call.owner,
    api: call.api,
    model: call.model,
    day: dayOf(call.at),
    calls: 1,
    estimated_calls: call.estimated ? 1 : 0,
    unpriced_calls: call.costNanos === null ? 1 : 0,
    input_tokens: call.inputTokens,
    output_tokens: call.outputTokens,
    cache_read_tokens: call.cacheReadTokens,
    cache_write_tokens: call.cacheWriteTokens,
    cost_nanos: call.costNanos ?? 0,
    last_call_id: call.callId,
    first_at: call.at,
    last_at: call.at,
  };
}

export function dayOf(at: string): string {
  return at.slice(0, 10);
}

type SumRow = Record<
  | 'calls'
  | 'estimated_calls'
  | 'unpriced_calls'
  | 'input_tokens'
  | 'output_tokens'
  | 'cache_read_tokens'
  | 'cache_write_tokens'
  | 'cost_nanos',
  number | string
> & { [Column in (typeof usageColumns)[UsageDimension]]?: string };

export function toModelUsageSum(row: SumRow, by: readonly UsageDimension[]): ModelUsageSum {
  const group = Object.fromEntries(
    by.map((dimension) => {
      const value = row[usageColumns[dimension]];
      return [dimension, dimension === 'turn' && value === '' ? null : value];
    }),
  ) as ModelUsageSum['group'];
  return {
    group,
    calls: Number(row.calls),
    estimatedCalls: Number(row.estimated_calls),
    unpricedCalls: Number(row.unpriced_calls),
    inputTokens: Number(row.input_tokens),
    outputTokens: Number(row.output_tokens),
    cacheReadTokens: Number(row.cache_read_tokens),
    cacheWriteTokens: Number(row.cache_write_tokens),
    costNanos: Number(row.cost_nanos),
  };
}

export function turnUsageColumns(turn: TurnUsageRecord): Insertable<TurnUsageTable> {
  return {
    turn_id: turn.turnId,
    session_id: turn.sessionId,
    owner: turn.owner,
    day: turn.day,
    active_ms: Math.round(turn.activeMs),
  };
}
