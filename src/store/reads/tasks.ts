import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toDelivery, toTask } from '../rows/task.ts';
import type { Database } from '../schema.ts';

type TaskReads = Pick<
  StoreReads,
  'task' | 'taskByNumber' | 'taskBySession' | 'tasksInState' | 'delivery' | 'deliveriesInState'
>;

export function taskReads(db: Kysely<Database>): TaskReads {
  return {
    async task(id) {
      const row = await db.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toTask(row);
    },

    /** A task that made the pull request goes before one that was started from it. */
    async taskByNumber(repositoryId, number) {
      const rows = await db
        .selectFrom('tasks')
        .selectAll()
        .where('repository_id', '=', repositoryId)
        .where((where) => where.or([where('pull_number', '=', number), where('issue_number', '=', number)]))
        .execute();
      const row = rows.find((candidate) => candidate.pull_number === number) ?? rows[0];
      return row === undefined ? null : toTask(row);
    },

    async taskBySession(sessionId) {
      const row = await db.selectFrom('tasks').selectAll().where('session_id', '=', sessionId).executeTakeFirst();
      return row === undefined ? null : toTask(row);
    },

    async tasksInState(states) {
      const rows = await db
        .selectFrom('tasks')
        .selectAll()
        .where('state', 'in', [...states])
        .orderBy('created_at')
        .orderBy('id')
        .execute();
      return rows.map(toTask);
    },

    async delivery(id) {
      const row = await db.selectFrom('deliveries').selectAll().where('id', '=', id).executeTakeFirst();
      return row === undefined ? null : toDelivery(row);
    },

    async deliveriesInState(state) {
      const rows = await db
        .selectFrom('deliveries')
        .selectAll()
        .where('state', '=', state)
        .orderBy('ordinal')
        .execute();
      return rows.map(toDelivery);
    },
  };
}
