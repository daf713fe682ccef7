import { sql, type Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { BerthError } from '../../protocol/errors.ts';
import { complete } from '../rows/columns.ts';
import { dataKeyColumns, modelKeyColumns } from '../rows/keys.ts';
import type { Database } from '../schema.ts';
import { sealedColumns } from '../sealed-columns.ts';
import { requireRow } from './require-row.ts';

type KeyWrites = Pick<
  StoreTransaction,
  'insertModelKey' | 'updateModelKey' | 'deleteModelKey' | 'insertDataKey' | 'retireDataKey' | 'deleteDataKey' | 'replaceSealed'
>;

export function keyWrites(db: Kysely<Database>): KeyWrites {
  return {
    async insertModelKey(record) {
      await db.insertInto('model_keys').values(complete(modelKeyColumns(record))).execute();
    },

    async updateModelKey(id, change) {
      const result = await db.updateTable('model_keys').set(modelKeyColumns(change)).where('id', '=', id).executeTakeFirstOrThrow();
      requireRow(result, 'key', id);
    },

    async deleteModelKey(id) {
      await db.deleteFrom('model_keys').where('id', '=', id).execute();
    },

    async insertDataKey(record) {
      await db.insertInto('data_keys').values(complete(dataKeyColumns(record))).execute();
    },

    async retireDataKey(id, at) {
      await db.updateTable('data_keys').set({ retired_at: at }).where('id', '=', id).where('retired_at', 'is', null).execute();
    },

    async deleteDataKey(id) {
      await db.deleteFrom('data_keys').where('id', '=', id).execute();
    },

    async replaceSealed({ table, row, column }, before, after) {
      const found = sealedColumns.find((each) => each.table === table);
      if (found === undefined || !(found.columns as readonly string[]).includes(column)) {
        throw new BerthError('internal', `${table}.${column} holds no secret`);
      }
      const key = found.table === 'github_app' ? Number(row) : row;
      const result = await sql`
        update ${sql.table(table)} set ${sql.ref(column)} = ${after}
        where ${sql.ref(found.key)} = ${key} and ${sql.ref(column)} = ${before}`.execute(db);
      return Number(result.numAffectedRows ?? 0) === 1;
    },
  };
}
