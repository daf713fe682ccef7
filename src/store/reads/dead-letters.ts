import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toDeadLetter } from '../rows/dead-letter.ts';
import type { Database } from '../schema.ts';
import { isVisible } from './visible.ts';

export function deadLetterReads(db: Kysely<Database>): Pick<StoreReads, 'deadLetters' | 'deadLetter'> {
  return {
    async deadLetters({ sessionId, visibleTo, waiting, limit }) {
      let query = db.selectFrom('dead_letters').selectAll();
      if (sessionId !== undefined) query = query.where('session_id', '=', sessionId);
      if (visibleTo !== undefined) {
        query = query.where('session_id', 'in', (where) =>
          where.selectFrom('sessions').select('sessions.id').where((session) => isVisible(session, visibleTo)),
        );
      }
      if (waiting === true) query = query.where('replayed_at', 'is', null);
      const rows = await query.orderBy('failed_at', 'desc').orderBy('turn_id', 'desc').limit(limit).execute();
      return rows.map(toDeadLetter);
    },

    async deadLetter(turnId) {
      const row = await db.selectFrom('dead_letters').selectAll().where('turn_id', '=', turnId).executeTakeFirst();
      return row === undefined ? null : toDeadLetter(row);
    },
  };
}
