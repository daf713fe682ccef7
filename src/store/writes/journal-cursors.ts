import type { Kysely } from 'kysely';
import type { Database } from '../schema.ts';

/**
 * How far each journal of a session was imported. A session may go through several journals (one per
 * sandbox disk); each keeps its own cursor, so that a late import of an earlier one drops what is there
 * already. The one in use is repeated in the session's own row, where no second query is needed.
 */
export interface JournalCursors {
  /** Moves the cursor and says whether the event is new. */
  admit(journal: { id: string; seq: number }): Promise<boolean>;
  /** Writes the moved cursors; returns the journal last imported from. */
  save(): Promise<{ journal_id: string | null; journal_seq: number }>;
}

interface SessionCursor {
  journal_id: string | null;
  journal_seq: number;
}

export function journalCursors(db: Kysely<Database>, sessionId: string, session: SessionCursor): JournalCursors {
  const cursors = new Map<string, number>();
  const moved = new Set<string>();
  let current = session.journal_id;
  if (current !== null) cursors.set(current, session.journal_seq);

  async function load(journalId: string): Promise<number> {
    const row = await db
      .selectFrom('journals')
      .select('seq')
      .where('session_id', '=', sessionId)
      .where('journal_id', '=', journalId)
      .executeTakeFirst();
    return row?.seq ?? 0;
  }

  return {
    async admit({ id, seq }) {
      const cursor = cursors.get(id) ?? (await load(id));
      const isNew = seq > cursor;
      cursors.set(id, isNew ? seq : cursor);
      if (isNew) {
        moved.add(id);
        current = id;
      }
      return isNew;
    },

    async save() {
      for (const id of moved) {
        const seq = cursors.get(id) ?? 0;
        await db
          .insertInto('journals')
          .values({ session_id: sessionId, journal_id: id, seq })
          .onConflict((conflict) => conflict.columns(['session_id', 'journal_id']).doUpdateSet({ seq }))
          .execute();
      }
      return { journal_id: current, journal_seq: current === null ? 0 : (cursors.get(current) ?? 0) };
    },
  };
}
