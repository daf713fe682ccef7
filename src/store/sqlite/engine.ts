import { sql } from 'kysely';
import type { Engine } from '../engine.ts';

export const sqliteEngine: Engine = {
  // SQLite compares text byte by byte unless told otherwise.
  id: 'text',
  big: 'integer',
  identity: (column) => column.primaryKey().autoIncrement(),
  tableEnd: sql`strict`,
  later: (ms) => sql`strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ${`${ms / 1000} seconds`})`,
  rowLocks: false,
  maxParameters: 32_766,

  /** A cascade deletes the session's row first, so its events are free to go; nothing else frees them. */
  async sealEvents(db) {
    await sql`
      create trigger events_no_update before update on events
      begin
        select raise(abort, 'the event log is append-only');
      end`.execute(db);
    await sql`
      create trigger events_no_delete before delete on events
      when exists (select 1 from sessions where id = old.session_id)
      begin
        select raise(abort, 'the event log is append-only');
      end`.execute(db);
  },

  async sealAudit(db) {
    for (const [table, change] of [
      ['audit', 'update'],
      ['audit', 'delete'],
      ['audit_head', 'delete'],
    ] as const) {
      await sql`
        create trigger ${sql.id(`${table}_no_${change}`)} before ${sql.raw(change)} on ${sql.table(table)}
        begin
          select raise(abort, 'the audit log is append-only');
        end`.execute(db);
    }
  },

  async complete() {},
};
