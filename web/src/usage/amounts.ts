import type { UsageTotals } from '../../../src/sdk/index.ts';

/** `1.2M`: near enough for a table, the figure itself in what is read out. */
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export function tokensOf(totals: UsageTotals): number {
  return totals.inputTokens + totals.outputTokens + totals.cacheReadTokens + totals.cacheWriteTokens;
}

export function amount(value: number): string {
  return short.format(value);
}

export function dollars(value: number): string {
  return `$${value.toFixed(value !== 0 && value < 1 ? 4 : 2)}`;
}

/** What it cost; only the known part of it where a price is missing. */
export function costOf(totals: UsageTotals): string {
  if (totals.costUsd !== null) return dollars(totals.costUsd);
  return totals.pricedCostUsd > 0 ? `over ${dollars(totals.pricedCostUsd)}` : 'price unknown';
}

/** In UTC, as the server counts days: today and those before it. */
export function lastDays(count: number): string[] {
  const now = Date.now();
  return Array.from({ length: count }, (_, index) =>
    new Date(now - (count - 1 - index) * 86_400_000).toISOString().slice(0, 10),
  );
}
