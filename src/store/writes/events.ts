import type { Insertable, Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { Engine } from '../engine.ts';
import { eventColumns } from '../rows/event.ts';
import type { Database, EventsTable } from '../schema.ts';
import { journalCursors } from './journal-cursors.ts';

const columnsPerEvent = 6;
/** What a row takes beside its data, about; empty events are not free. */
const bytesBesideData = 128;
/** Enough to make a statement's fixed cost small; more only makes more shapes of statement to prepare. */
const maxRowsPerStatement = 100;

/** `onAppend` hears of what was appended, still uncommitted. */
export function eventWrites(
  db: Kysely<Database>,
  engine: Engine,
  onAppend: (sessionId: string, lastSeq: number) => void,
): Pick<StoreTransaction, 'appendEvents'> {
  const rowsPerStatement = Math.min(maxRowsPerStatement, Math.floor(engine.maxParameters / columnsPerEvent));

  return {
    async appendEvents(sessionId, events) {
      const session = await db
        .selectFrom('sessions')
        .select(['last_seq', 'log_bytes', 'journal_id', 'journal_seq'])
        .where('id', '=', sessionId)
        .$if(engine.rowLocks, (query) => query.forUpdate())
        .executeTakeFirst();
      if (session === undefined) {
        throw new BerthError('not_found', `no session ${sessionId}`, { context: { id: sessionId } });
      }

      const cursors = journalCursors(db, sessionId, session);
      const rows: Insertable<EventsTable>[] = [];
      for (const event of events) {
        if (event.journal !== undefined && !(await cursors.admit(event.journal))) continue;
        rows.push(eventColumns(sessionId, session.last_seq + rows.length + 1, event));
      }
      if (rows.length === 0) return session.last_seq;
      const addedBytes = rows.reduce((sum, row) => sum + Buffer.byteLength(row.data) + bytesBesideData, 0);

      for (let start = 0; start < rows.length; start += rowsPerStatement) {
        await db
          .insertInto('events')
          .values(rows.slice(start, start + rowsPerStatement))
          .execute();
      }
      const lastSeq = session.last_seq + rows.length;
      const cursor = await cursors.save();
      await db
        .updateTable('sessions')
        .set({ last_seq: lastSeq, log_bytes: session.log_bytes + addedBytes, ...cursor })
        .where('id', '=', sessionId)
        .execute();
      onAppend(sessionId, lastSeq);
      return lastSeq;
    },
  };
}
