import type { UpdateResult } from 'kysely';
import { BerthError } from '../../protocol/errors.ts';

/** Throws `not_found` when an update found no row. */
export function requireRow(result: UpdateResult, kind: string, id: string): void {
  if (result.numUpdatedRows === 0n) throw new BerthError('not_found', `no ${kind} ${id}`, { context: { id } });
}
