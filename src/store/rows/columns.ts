import type { Insertable } from 'kysely';

/**
 * The columns that a change names. `undefined` stands for one it does not name: Kysely leaves such
 * columns out of an `update`.
 */
export type Columns<Table> = { [Column in keyof Insertable<Table>]?: Insertable<Table>[Column] | undefined };

/** The columns of a whole record: the same mapping, with nothing left out. */
export function complete<Table>(columns: Columns<Table>): Insertable<Table> {
  return columns as Insertable<Table>;
}
