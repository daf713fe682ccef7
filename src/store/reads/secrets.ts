import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toSecret } from '../rows/secret.ts';
import type { Database } from '../schema.ts';

export function secretReads(db: Kysely<Database>): Pick<StoreReads, 'secrets'> {
  return {
    async secrets({ kind, name }) {
      const rows = await db.selectFrom('secrets').selectAll().where(kind, '=', name).orderBy('name').execute();
      return rows.map(toSecret);
    },
  };
}
