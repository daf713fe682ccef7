import { readFile } from 'node:fs/promises';
import { createPriceTable, priceFile, type PriceTable } from '../core/usage/price-table.ts';
import { BerthError } from '../protocol/errors.ts';

const setting = 'BERTH_PRICES';

/** The price table in a file; without one no model has a price. Throws `invalid_request` naming what is wrong in it. */
export async function readPrices(path: string | null): Promise<PriceTable> {
  if (path === null) return createPriceTable({ models: {} });
  let content: unknown;
  try {
    content = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    const why = cause instanceof SyntaxError ? 'is not JSON' : 'cannot be read';
    throw new BerthError('invalid_request', `${setting}: ${path} ${why}`, { field: setting, cause });
  }
  const parsed = priceFile.safeParse(content);
  if (parsed.success) return createPriceTable(parsed.data);
  const [issue] = parsed.error.issues;
  const where = issue?.path.map(String).join(' → ') ?? '';
  throw new BerthError('invalid_request', `${setting}: ${path}: ${where}: ${issue?.message ?? 'is not valid'}`, {
    field: setting,
  });
}
