import { sql, type Kysely } from 'kysely';
import type { SecretPlace } from '../../core/ports/secrets.ts';
import type { StoreReads } from '../../core/ports/store.ts';
import { toDataKey, toModelKey } from '../rows/keys.ts';
import type { Database } from '../schema.ts';
import { sealedColumns } from '../sealed-columns.ts';

type KeyReads = Pick<StoreReads, 'modelKey' | 'modelKeys' | 'dataKeys' | 'sealedValues'>;

export function keyReads(db: Kysely<Database>): KeyReads {
  return {
    async modelKey(id) {
      const row = await db.selectFrom('model_keys').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toModelKey(row);
    },

    async modelKeys({ api, user, teams } = {}) {
      let query = db.selectFrom('model_keys').selectAll().orderBy('scope').orderBy('subject').orderBy('name');
      if (api !== undefined) query = query.where('api', '=', api);
      if (user !== undefined || teams !== undefined) {
        query = query.where((eb) =>
          eb.or([
            eb('scope', '=', 'server'),
            ...(user === undefined ? [] : [eb.and([eb('scope', '=', 'user'), eb('subject', '=', user)])]),
            ...(teams === undefined || teams.length === 0
              ? []
              : [eb.and([eb('scope', '=', 'team'), eb('subject', 'in', [...teams])])]),
          ]),
        );
      }
      return (await query.execute()).map(toModelKey);
    },

    async dataKeys() {
      const rows = await db.selectFrom('data_keys').selectAll().orderBy('created_at').orderBy('id').execute();
      return rows.map(toDataKey);
    },

    async sealedValues() {
      const values: { place: SecretPlace; sealed: string }[] = [];
      for (const { table, key, columns } of sealedColumns) {
        for (const column of columns) {
          const { rows } = await sql<{ row: string | number; sealed: string | null }>`
            select ${sql.ref(key)} as "row", ${sql.ref(column)} as "sealed" from ${sql.table(table)} order by 1`.execute(db);
          for (const { row, sealed } of rows) {
            if (sealed !== null) values.push({ place: { table, row: String(row), column }, sealed });
          }
        }
      }
      return values;
    },
  };
}
