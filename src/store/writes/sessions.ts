import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { complete } from '../rows/columns.ts';
import { sessionColumns } from '../rows/session.ts';
import type { Database } from '../schema.ts';
import { requireRow } from './require-row.ts';

type SessionWrites = Pick<StoreTransaction, 'insertSession' | 'updateSession' | 'touchSession' | 'deleteSession'>;

export function sessionWrites(db: Kysely<Database>): SessionWrites {
  return {
    async insertSession(record) {
      await db
        .insertInto('sessions')
        .values(complete(sessionColumns(record)))
        .execute();
    },

    async updateSession(id, values) {
      const result = await db
        .updateTable('sessions')
        .set({ ...sessionColumns(values), id })
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      requireRow(result, 'session', id);
    },

    async touchSession(id, at) {
      await db
        .updateTable('sessions')
        .set({ last_used_at: at })
        .where('id', '=', id)
        .where((where) => where.or([where('last_used_at', 'is', null), where('last_used_at', '<', at)]))
        .execute();
    },

    /** Takes turns, events, permissions and cursors with it. No-op when absent. */
    async deleteSession(id) {
      await db.deleteFrom('sessions').where('id', '=', id).execute();
    },
  };
}
