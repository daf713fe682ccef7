import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toIdempotentResponse, toToken } from '../rows/access.ts';
import type { Database } from '../schema.ts';

export function accessReads(db: Kysely<Database>): Pick<StoreReads, 'idempotentResponse' | 'tokenByHash' | 'token' | 'tokens'> {
  return {
    async idempotentResponse(scope, key) {
      const row = await db
        .selectFrom('idempotent_responses')
        .selectAll()
        .where('scope', '=', scope)
        .where('key', '=', key)
        .executeTakeFirst();
      return row === undefined ? null : toIdempotentResponse(row);
    },

    async tokenByHash(hash) {
      const row = await db.selectFrom('tokens').selectAll().where('hash', '=', hash).executeTakeFirst();
      return row === undefined ? null : toToken(row);
    },

    async token(id) {
      const row = await db.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toToken(row);
    },

    async tokens(owner) {
      const rows = await db.selectFrom('tokens').selectAll().where('owner', '=', owner).orderBy('id', 'desc').execute();
      return rows.map(toToken);
    },
  };
}
