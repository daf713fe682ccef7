import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Engine } from '../engine.ts';

/** Where commits of events are announced. The payload is `<origin> <session id> <last seq>`. */
export const eventsChannel = 'berth_events';
/** Where work is announced. The payload is `<origin> <address>`. */
export const workChannel = 'berth_work';

export const postgresEngine: Engine = {
  id: sql`text collate "C"`,
  big: 'bigint',
  identity: (column) => column.generatedByDefaultAsIdentity().primaryKey(),
  tableEnd: sql``,
  // The clock's own time: that of the transaction stands still while it waits for a lock.
  later: (ms) =>
    sql`to_char((clock_timestamp() + make_interval(secs => ${ms / 1000}::double precision)) at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
  rowLocks: true,
  // The protocol counts them in 16 bits.
  maxParameters: 65_535,
  sealEvents,
  sealAudit,

  async complete(db) {
    // Has no rows: `begin.ts` locks it to order whole transactions.
    await sql`create table transaction_gate (unused boolean)`.execute(db);
    await announceEvents(db);
  },
};

/** A cascade deletes the session's row first, so its events are free to go; nothing else frees them. */
async function sealEvents(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function refuse_event_change() returns trigger language plpgsql as $$
    begin
      if tg_op = 'DELETE' then
        if not exists (select 1 from sessions where id = old.session_id) then
          return old;
        end if;
      end if;
      raise exception 'the event log is append-only' using errcode = 'restrict_violation';
    end
    $$`.execute(db);
  for (const [name, change, each] of [
    ['events_no_update', 'update', 'row'],
    ['events_no_delete', 'delete', 'row'],
    ['events_no_truncate', 'truncate', 'statement'],
  ] as const) {
    await sql`
      create trigger ${sql.id(name)} before ${sql.raw(change)} on events
      for each ${sql.raw(each)} execute function refuse_event_change()`.execute(db);
  }
}

async function sealAudit(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function refuse_audit_change() returns trigger language plpgsql as $$
    begin
      raise exception 'the audit log is append-only' using errcode = 'restrict_violation';
    end
    $$`.execute(db);
  for (const [table, change, each] of [
    ['audit', 'update', 'row'],
    ['audit', 'delete', 'row'],
    ['audit', 'truncate', 'statement'],
    ['audit_head', 'delete', 'row'],
    ['audit_head', 'truncate', 'statement'],
  ] as const) {
    await sql`
      create trigger ${sql.id(`${table}_no_${change}`)} before ${sql.raw(change)} on ${sql.table(table)}
      for each ${sql.raw(each)} execute function refuse_audit_change()`.execute(db);
  }
}

/** In a trigger, so that an announcement is part of the commit and costs no round trip. */
async function announceEvents(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function announce_events() returns trigger language plpgsql as $$
    begin
      perform pg_notify(${sql.lit(eventsChannel)},
        coalesce(nullif(current_setting('berth.origin', true), ''), '-') || ' ' || new.id || ' ' || new.last_seq);
      return null;
    end
    $$`.execute(db);
  await sql`
    create trigger sessions_announce_events after update of last_seq on sessions
    for each row when (new.last_seq > old.last_seq) execute function announce_events()`.execute(db);
}
