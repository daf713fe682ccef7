import { sql, type Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { sandboxStatuses, toSandbox, toSandboxUse } from '../rows/sandbox.ts';
import { check } from '../json.ts';
import { isBudgetQuestion } from './budget-questions.ts';
import type { Database } from '../schema.ts';

export function sandboxReads(
  db: Kysely<Database>,
): Pick<StoreReads, 'sandbox' | 'sandboxes' | 'sandboxCounts' | 'sandboxUses'> {
  return {
    async sandbox(id) {
      const row = await db.selectFrom('sandboxes').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toSandbox(row);
    },

    async sandboxes({ hostId, statuses, sessionId, unowned = false } = {}) {
      let query = db.selectFrom('sandboxes').selectAll().orderBy('id');
      if (hostId !== undefined) query = query.where('host_id', '=', hostId);
      if (statuses !== undefined) query = query.where('status', 'in', [...statuses]);
      if (sessionId !== undefined) query = query.where('session_id', '=', sessionId);
      if (unowned) query = query.where('session_id', 'is', null);
      return (await query.execute()).map(toSandbox);
    },

    async sandboxCounts() {
      const rows = await db
        .selectFrom('sandboxes')
        .select(['status', (count) => count.fn.countAll<number | string>().as('count')])
        .groupBy('status')
        .execute();
      return new Map(rows.map(({ status, count }) => [check(sandboxStatuses, 'sandboxes.status', status), Number(count)]));
    },

    async sandboxUses({ hostId, statuses, sessionId } = {}) {
      let query = db
        .selectFrom('sandboxes')
        .innerJoin('sessions', 'sessions.sandbox_id', 'sandboxes.id')
        // Literals, so that the index over active turns is used; it makes them one at most for each session.
        .leftJoin('turns', (join) =>
          join
            .onRef('turns.session_id', '=', 'sessions.id')
            .on('turns.state', 'in', [sql.lit('starting'), sql.lit('running')]),
        )
        .where('sessions.deleting_at', 'is', null)
        .select([
          'sessions.id as session_id',
          'sandboxes.id as sandbox_id',
          'sandboxes.provider',
          'sandboxes.status',
          'sessions.idle',
          'sessions.archived_at',
          'sessions.last_used_at',
          'sessions.updated_at',
          'turns.state as turn_state',
          'turns.cancel_requested_at',
        ])
        .select((eb) => {
          const open = eb
            .selectFrom('permissions')
            .whereRef('permissions.session_id', '=', 'sessions.id')
            .where('permissions.state', '=', 'open');
          return [
            open.select((inner) => inner.fn.max('permissions.requested_at').as('at')).as('asked_at'),
            open.select((inner) => inner.fn.min('permissions.expires_at').as('at')).as('expires_at'),
            open
              .where(isBudgetQuestion('permissions.request_id'))
              .select((inner) => inner.fn.max('permissions.request_id').as('id'))
              .as('budget_question'),
          ];
        });
      if (hostId !== undefined) query = query.where('sandboxes.host_id', '=', hostId);
      if (sessionId !== undefined) query = query.where('sessions.id', '=', sessionId);
      if (statuses !== undefined) query = query.where('sandboxes.status', 'in', [...statuses]);
      return (await query.execute()).map(toSandboxUse);
    },
  };
}
