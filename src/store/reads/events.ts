import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toEvent } from '../rows/event.ts';
import type { Database } from '../schema.ts';

export function eventReads(db: Kysely<Database>): Pick<StoreReads, 'events'> {
  return {
    async events(sessionId, from, limit) {
      const rows = await db
        .selectFrom('events')
        .selectAll()
        .where('session_id', '=', sessionId)
        .where('seq', '>', from)
        .orderBy('seq')
        .limit(limit)
        .execute();
      return rows.map(toEvent);
    },
  };
}
