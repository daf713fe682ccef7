import { z } from 'zod';
import type { ModelCallUsage } from '../ports/model-meter.ts';

/**
 * US dollars for a million tokens. A pattern is a model's name, or its beginning and `*`; the longest that fits is
 * taken, a whole name before any beginning. What a price leaves out costs as much as plain input.
 */
const price = z.strictObject({
  input: z.number().min(0).max(100_000),
  output: z.number().min(0).max(100_000),
  cacheRead: z.number().min(0).max(100_000).optional(),
  cacheWrite: z.number().min(0).max(100_000).optional(),
});
type Price = z.infer<typeof price>;

export const priceFile = z.strictObject({
  /** For people: where the prices are from. Not read. */
  comment: z.string().optional(),
  models: z.record(z.string().regex(/^[^*]{1,200}\*?$|^\*$/, 'a name, or its beginning and *'), price),
});

export interface PriceTable {
  /** In billionths of a US dollar; `null` when the model is not in the table. */
  costNanos(usage: ModelCallUsage): number | null;
}

export function createPriceTable({ models }: z.infer<typeof priceFile>): PriceTable {
  const exact = new Map(Object.entries(models).filter(([pattern]) => !pattern.endsWith('*')));
  const beginnings = Object.entries(models)
    .filter(([pattern]) => pattern.endsWith('*'))
    .map(([pattern, each]) => [pattern.slice(0, -1), each] as const)
    .sort(([a], [b]) => b.length - a.length);

  function priceOf(model: string): Price | null {
    return exact.get(model) ?? beginnings.find(([beginning]) => model.startsWith(beginning))?.[1] ?? null;
  }

  return {
    costNanos(usage) {
      const found = priceOf(usage.model);
      if (found === null) return null;
      // A dollar for a million tokens is a thousand billionths for one.
      const nanos =
        usage.inputTokens * found.input +
        usage.outputTokens * found.output +
        usage.cacheReadTokens * (found.cacheRead ?? found.input) +
        usage.cacheWriteTokens * (found.cacheWrite ?? found.input);
      return Math.min(Number.MAX_SAFE_INTEGER, Math.round(nanos * 1000));
    },
  };
}
