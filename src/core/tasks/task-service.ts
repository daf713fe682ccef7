import { asBerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import type { RepositoryRecord, TaskRecord, TaskTrigger } from '../ports/store.ts';
import { advanceTask, type TaskContext } from './advance-task.ts';

/** Send-and-do jobs: from a trigger on the forge to a pull request, and on with each comment. */
export interface TaskService {
  /**
   * Takes a trigger in: a new task, or the next turn of the one that owns the issue or pull request.
   * The same trigger twice is one. Stored when this resolves; the work goes on behind.
   */
  request(repository: RepositoryRecord, trigger: TaskTrigger): Promise<TaskRecord>;
  /** Goes on with what a crash left. */
  start(): Promise<void>;
  /** Resolves when no step is under way; for tests and a clean end. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

const firstRetryMs = 1_000;
const lastRetryMs = 60_000;
const retries = 8;

export function createTaskService(context: TaskContext): TaskService {
  const { deps, core } = context;
  const { store, clock, logger } = deps;
  const closing = new AbortController();
  const running = new Map<string, Promise<void>>();
  const again = new Set<string>();

  const unsubscribe = core.onTurnEnded((turnId) => {
    void store.read
      .turn(turnId)
      .then((turn) => (turn === null ? null : store.read.taskBySession(turn.sessionId)))
      .then((task) => task !== null && advance(task.id))
      .catch((error: unknown) => logger.error({ turnId, err: error }, 'a task could not go on after its turn'));
  });

  /** One worker per task; a call while it works makes it look once more. */
  function advance(taskId: string): void {
    if (closing.signal.aborted) return;
    if (running.has(taskId)) {
      again.add(taskId);
      return;
    }
    const work = advanceWithRetry(taskId)
      .catch((error: unknown) => logger.error({ taskId, err: error }, 'task worker failed'))
      .finally(() => {
        running.delete(taskId);
        if (again.delete(taskId)) advance(taskId);
      });
    running.set(taskId, work);
  }

  async function advanceWithRetry(taskId: string): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await advanceTask(context, taskId, closing.signal);
        return;
      } catch (cause) {
        const error = asBerthError(cause);
        logger.warn({ taskId, attempt, code: error.code, err: cause }, 'task step failed for now');
        if (attempt >= retries) {
          await store.transaction((tx) =>
            tx.updateTask(taskId, {
              state: 'failed',
              error: { code: error.code, message: error.message },
              updatedAt: clock.now().toISOString(),
            }),
          );
          return;
        }
        await clock.sleep(Math.min(firstRetryMs * 2 ** attempt, lastRetryMs), closing.signal);
      }
    }
  }

  return {
    async request(repository, trigger) {
      const at = clock.now().toISOString();
      const task = await store.transaction(async (tx) => {
        const existing = await tx.taskByNumber(repository.id, trigger.number);
        if (existing === null) {
          const fresh: TaskRecord = {
            id: newId('task'),
            repositoryId: repository.id,
            issueNumber: trigger.number,
            pullNumber: null,
            sessionId: null,
            state: 'accepted',
            commentId: null,
            turnId: null,
            trigger,
            pending: [],
            pushedCommit: null,
            error: null,
            createdAt: at,
            updatedAt: at,
          };
          await tx.insertTask(fresh);
          return fresh;
        }
        const known = [existing.trigger, ...existing.pending];
        if (known.some((each) => each.kind === trigger.kind && each.id === trigger.id) && existing.state !== 'failed') {
          return existing;
        }
        const change = { pending: [...existing.pending, trigger], updatedAt: at };
        await tx.updateTask(existing.id, change);
        return { ...existing, ...change };
      });
      advance(task.id);
      return task;
    },
    async start() {
      for (const task of await store.read.tasksInState(['accepted', 'working', 'publishing', 'waiting', 'failed'])) {
        if (task.pending.length > 0 || !(task.state === 'waiting' || task.state === 'failed')) advance(task.id);
      }
    },
    async settle() {
      while (running.size > 0) await Promise.all(running.values());
    },
    async close() {
      closing.abort();
      unsubscribe();
      await Promise.all(running.values());
    },
  };
}
