import { sql, type RawBuilder } from 'kysely';
import { idPrefixes } from '../../protocol/ids.ts';

/** Whether a permission request is the server's own question, by its id. */
export function isBudgetQuestion(column: string): RawBuilder<boolean> {
  const prefix = `${idPrefixes.budgetQuestion}_`;
  return sql<boolean>`substr(${sql.ref(column)}, 1, ${sql.lit(prefix.length)}) = ${prefix}`;
}
