import type { Selectable } from 'kysely';
import type { DeadLetterRecord } from '../../core/ports/store.ts';
import type { DeadLettersTable } from '../schema.ts';
import type { Columns } from './columns.ts';

export function deadLetterColumns(letter: Partial<DeadLetterRecord>): Columns<DeadLettersTable> {
  return {
    turn_id: letter.turnId,
    session_id: letter.sessionId,
    code: letter.code,
    message: letter.message,
    attempts: letter.attempts,
    failed_at: letter.failedAt,
    replayed_at: letter.replayedAt,
    replay_turn_id: letter.replayTurnId,
  };
}

export function toDeadLetter(row: Selectable<DeadLettersTable>): DeadLetterRecord {
  return {
    turnId: row.turn_id,
    sessionId: row.session_id,
    code: row.code,
    message: row.message,
    attempts: row.attempts,
    failedAt: row.failed_at,
    replayedAt: row.replayed_at,
    replayTurnId: row.replay_turn_id,
  };
}
