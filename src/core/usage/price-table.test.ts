import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createPriceTable, priceFile } from './price-table.ts';

const usage = (model: string) => ({
  api: 'anthropic',
  model,
  inputTokens: 1_000_000,
  outputTokens: 100_000,
  cacheReadTokens: 2_000_000,
  cacheWriteTokens: 10,
  estimated: false,
});

test('the longest pattern counts, a whole name before it, and an unknown model has no cost', () => {
  const prices = createPriceTable({
    models: {
      'gpt-5*': { input: 1, output: 10 },
      'gpt-5-mini*': { input: 0.25, output: 2, cacheRead: 0.025, cacheWrite: 1 },
      'gpt-5-mini-x': { input: 0, output: 0 },
    },
  });
  expect(prices.costNanos(usage('gpt-5-mini-2025'))).toBe(Math.round((0.25 + 0.2 + 0.05 + 0.000_01) * 1e9));
  // What a price does not name costs as plain input does.
  expect(prices.costNanos(usage('gpt-5'))).toBe(Math.round((1 + 1 + 2 + 0.000_01) * 1e9));
  expect(prices.costNanos(usage('gpt-5-mini-x'))).toBe(0);
  expect(prices.costNanos(usage('claude'))).toBeNull();
});

test('the example is a price file, and faults in one are named', () => {
  const example: unknown = JSON.parse(readFileSync('docs/examples/prices.json', 'utf8'));
  expect(createPriceTable(priceFile.parse(example)).costNanos(usage('claude-sonnet-4-5-20250929'))).toBeGreaterThan(0);
  const faulty = priceFile.safeParse({ models: { 'a*b': { input: 1, output: 1 }, c: { input: -1, output: 1 } } });
  expect(faulty.error?.issues.map((issue) => issue.path.join('.'))).toEqual(['models.a*b', 'models.c.input']);
});
