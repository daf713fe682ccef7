import { z } from 'zod';

/** What models used, as the gateway read it in their answers. */

export const usageDimension = z.enum(['session', 'user', 'turn', 'model', 'day']);
export type UsageDimension = z.infer<typeof usageDimension>;

const count = z.number().int().nonnegative();

export const usageTotals = z.object({
  calls: count,
  /** Calls whose answer did not say what it used (cut off, or not asked for); counted by the size of what went through. */
  estimatedCalls: count,
  /** Neither read from a cache nor written to one. */
  inputTokens: count,
  outputTokens: count,
  cacheReadTokens: count,
  cacheWriteTokens: count,
  /** US dollars by the server's price table; `null` when it does not have the price of every call. */
  costUsd: z.number().nonnegative().nullable(),
  /** The part that has a price. */
  pricedCostUsd: z.number().nonnegative(),
  /** Calls of models that the price table does not know. */
  unpricedCalls: count,
});
export type UsageTotals = z.infer<typeof usageTotals>;

/** One line of a report: what it was grouped by, and its sums. */
export const usageRow = usageTotals.extend({
  session: z.string().optional(),
  user: z.string().optional(),
  /** `null`: outside any turn. */
  turn: z.string().nullable().optional(),
  model: z.string().optional(),
  /** In UTC. */
  day: z.iso.date().optional(),
});
export type UsageRow = z.infer<typeof usageRow>;

export const usageReport = z.object({
  /** Latest day first, then by what the rows are grouped by; at most 1000. */
  rows: z.array(usageRow),
  total: usageTotals,
  /** Models in the report that the price table does not know. */
  unpricedModels: z.array(z.string()),
});
export type UsageReport = z.infer<typeof usageReport>;

const dimensions = z
  .string()
  .max(60)
  .transform((text) => [...new Set(text.split(',').map((each) => each.trim()))])
  .pipe(z.array(usageDimension).min(1));

export const usageQuery = z.object({
  /** Names with commas: `day,model`. */
  by: dimensions.default(['day', 'model']),
  session: z.string().min(1).max(100).optional(),
  user: z.string().min(1).max(200).optional(),
  turn: z.string().min(1).max(100).optional(),
  model: z.string().min(1).max(200).optional(),
  /** Days in UTC, both included. */
  from: z.iso.date().optional(),
  to: z.iso.date().optional(),
});
export type UsageQuery = z.infer<typeof usageQuery>;
