import { sql, type Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toEvent } from '../rows/event.ts';
import type { Database } from '../schema.ts';

/** Of one page, but for its first event. */
const maxPageBytes = 8 * 1024 * 1024;

export function eventReads(db: Kysely<Database>): Pick<StoreReads, 'events'> {
  return {
    async events(sessionId, from, limit) {
      // Lengths stand in a row's head: what is too much is never read.
      const sizes = db
        .selectFrom('events')
        .select(['seq', sql<number>`octet_length(data)`.as('size')])
        .where('session_id', '=', sessionId)
        .where('seq', '>', from)
        .orderBy('seq')
        .limit(limit);
      const before = sql<number>`sum(size) over (order by seq) - size`;
      const rows = await db
        .selectFrom('events')
        .selectAll()
        .where('session_id', '=', sessionId)
        .where('seq', '>', from)
        .where('seq', '<=', (query) =>
          query
            .selectFrom(query.selectFrom(sizes.as('sizes')).select(['seq', before.as('before')]).as('summed'))
            .select((each) => each.fn.max('seq').as('last'))
            .where('before', '<', maxPageBytes),
        )
        .orderBy('seq')
        .execute();
      return rows.map(toEvent);
    },
  };
}
