import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { queueTurnColumns, toQueueTurn } from '../rows/turn.ts';
import type { Database } from '../schema.ts';

export function queueReads(
  db: Kysely<Database>,
): Pick<StoreReads, 'queuedTurns' | 'servedTurns' | 'latestClaimedTurns'> {
  const turns = () =>
    db
      .selectFrom('turns')
      .innerJoin('sessions', 'sessions.id', 'turns.session_id')
      .leftJoin('sandboxes', 'sandboxes.id', 'sessions.sandbox_id')
      .select([...queueTurnColumns, 'sessions.owner', 'sessions.team', 'sessions.agent', 'sandboxes.status as sandbox_status',
        'sandboxes.host_id as sandbox_host_id',
      ]);

  return {
    async queuedTurns() {
      const rows = await turns()
        .where('turns.state', '=', 'queued')
        .where('sessions.deleting_at', 'is', null)
        .orderBy('turns.created_at')
        .orderBy('turns.ordinal')
        .execute();
      return rows.map(toQueueTurn);
    },

    async servedTurns(since) {
      const rows = await turns()
        .where((where) =>
          where.or([where('turns.state', 'in', ['starting', 'running']), where('turns.claimed_at', '>=', since)]),
        )
        .orderBy('turns.claimed_at')
        .orderBy('turns.ordinal')
        .execute();
      return rows.map(toQueueTurn);
    },

    async latestClaimedTurns(limit) {
      const rows = await turns()
        .where('turns.claimed_at', 'is not', null)
        .orderBy('turns.claimed_at', 'desc')
        .orderBy('turns.ordinal', 'desc')
        .limit(limit)
        .execute();
      return rows.map(toQueueTurn);
    },
  };
}
