import type { Insertable, Selectable } from 'kysely';
import type { NewEvent } from '../../core/ports/store.ts';
import type { SessionEvent } from '../../protocol/events.ts';
import { parseObject, toJson } from '../json.ts';
import type { EventsTable } from '../schema.ts';

export function eventColumns(sessionId: string, seq: number, event: NewEvent): Insertable<EventsTable> {
  return {
    session_id: sessionId,
    seq,
    at: event.at,
    turn_id: event.turnId,
    type: event.type,
    data: toJson(event.data),
  };
}

/**
 * An event of the log. Only the envelope is checked: a type this version does not know, or a known one
 * with fields it does not know, must reach the reader unchanged.
 */
export function toEvent(row: Selectable<EventsTable>): SessionEvent {
  return {
    sessionId: row.session_id,
    seq: row.seq,
    at: row.at,
    turnId: row.turn_id,
    type: row.type,
    data: parseObject('events.data', row.data),
  } as SessionEvent;
}
