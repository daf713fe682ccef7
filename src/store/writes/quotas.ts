import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { toJson } from '../json.ts';
import type { Database } from '../schema.ts';

export function quotaWrites(db: Kysely<Database>): Pick<StoreTransaction, 'saveQuota'> {
  return {
    async saveQuota({ kind, name }, quota, at) {
      if (quota === null) {
        await db.deleteFrom('quotas').where('kind', '=', kind).where('name', '=', name).execute();
        return;
      }
      const settings = { quota: toJson(quota), updated_at: at };
      await db
        .insertInto('quotas')
        .values({ kind, name, ...settings })
        .onConflict((on) => on.columns(['kind', 'name']).doUpdateSet(settings))
        .execute();
    },
  };
}
