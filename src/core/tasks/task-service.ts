import { asBerthError, type BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import type { RepositoryRecord, StoreTransaction, TaskRecord, TaskTrigger } from '../ports/store.ts';
import { isResponsible } from '../hosts/responsible-host.ts';
import { openTurnStates } from '../turns/turn-states.ts';
import { advanceTask, failTask, type TaskContext } from './advance-task.ts';
import { isTaken } from './trigger-key.ts';

/** Send-and-do jobs: from a trigger on the forge to a pull request, and on with each comment. */
export interface TaskService {
  /**
   * Takes a trigger in: a new task, or the next turn of the one that owns the issue or pull request.
   * The same trigger twice is one, unless the first failed and another delivery brings it anew.
   * Stored when this resolves; the work goes on behind. `within` runs in the transaction that stores it.
   */
  request(
    repository: RepositoryRecord,
    trigger: TaskTrigger,
    within?: (tx: StoreTransaction, task: TaskRecord) => Promise<void>,
  ): Promise<TaskRecord>;
  /** Goes on with what a crash left. */
  start(): Promise<void>;
  /** Resolves when no step is under way; for tests and a clean end. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

const firstRetryMs = 1_000;
const lastRetryMs = 60_000;
const retries = 8;
/** The longest a forge's rate limit is waited for; GitHub's ends after an hour. */
const longestRateLimitMs = 65 * 60_000;
/** How often tasks are looked at whose turn ended without a sign, as with its session's deletion. */
const sweepMs = 30_000;

export function createTaskService(context: TaskContext): TaskService {
  const { store, clock, logger } = context.deps;
  const closing = new AbortController();
  const running = new Map<string, Promise<void>>();
  const again = new Set<string>();

  /** Sessions whose turn a task waits for. */
  const awaited = new Map<string, { taskId: string; turnId: string }>();
  let sweeping: Promise<void> = Promise.resolve();

  // The log tells of every end of a turn, also of one that no runner has seen.
  const unsubscribe = store.onEvents((sessionId) => {
    const waiting = awaited.get(sessionId);
    if (waiting === undefined || closing.signal.aborted) return;
    void store.read
      .turn(waiting.turnId)
      .then((turn) => {
        if (turn === null || !openTurnStates.includes(turn.state)) advance(waiting.taskId);
      })
      .catch((error: unknown) => logger.error({ taskId: waiting.taskId, err: error }, 'a task could not go on after its turn'));
  });

  async function sweep(): Promise<void> {
    while (!closing.signal.aborted) {
      await clock.sleep(sweepMs, closing.signal).catch(() => {});
      if (closing.signal.aborted) return;
      await advanceOpen().catch((error: unknown) => logger.error({ err: error }, 'tasks could not be looked at'));
    }
  }

  async function advanceOpen(): Promise<void> {
    for (const task of await store.read.tasksInState(['accepted', 'working', 'publishing', 'waiting', 'failed'])) {
      if (task.pending.length > 0 || !(task.state === 'waiting' || task.state === 'failed')) advance(task.id);
    }
  }

  /** Remembers what the task waits for, and looks once more, for the end may have come before. */
  async function watch(taskId: string): Promise<void> {
    const task = await store.read.task(taskId);
    for (const [sessionId, waiting] of awaited) if (waiting.taskId === taskId) awaited.delete(sessionId);
    if (task?.state !== 'working' || task.sessionId === null || task.turnId === null) return;
    awaited.set(task.sessionId, { taskId, turnId: task.turnId });
    const turn = await store.read.turn(task.turnId);
    if (turn === null || !openTurnStates.includes(turn.state)) again.add(taskId);
  }

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
        const task = await store.read.task(taskId);
        // Another server's; this one looks again at each sweep.
        if (task === null || !(await isResponsible(context.deps, task))) return;
        await advanceTask(context, taskId, closing.signal);
        await watch(taskId);
        return;
      } catch (cause) {
        if (closing.signal.aborted) return;
        const error = asBerthError(cause);
        logger.warn({ taskId, attempt, code: error.code, err: cause }, 'task step failed for now');
        if (attempt >= retries) {
          await failTask(context, taskId, error, closing.signal);
          if (((await store.read.task(taskId))?.pending.length ?? 0) > 0) again.add(taskId);
          return;
        }
        await clock.sleep(retryDelayMs(error, attempt), closing.signal).catch(() => {});
        if (closing.signal.aborted) return;
      }
    }
  }

  return {
    async request(repository, trigger, within) {
      const at = clock.now().toISOString();
      const task = await store.transaction(async (tx) => {
        const taken = await takeIn(tx, repository.id, trigger, at);
        await within?.(tx, taken);
        return taken;
      });
      advance(task.id);
      return task;
    },
    async start() {
      await advanceOpen();
      sweeping = sweep();
    },
    async settle() {
      while (running.size > 0) await Promise.all(running.values());
    },
    async close() {
      closing.abort();
      unsubscribe();
      await Promise.all(running.values());
      await sweeping;
    },
  };
}

async function takeIn(tx: StoreTransaction, repositoryId: string, trigger: TaskTrigger, at: string): Promise<TaskRecord> {
  const existing = await tx.taskByNumber(repositoryId, trigger.number);
  if (existing === null) {
    const fresh: TaskRecord = {
      id: newId('task'),
      repositoryId,
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
  if (await isTaken(tx, existing, trigger)) return existing;
  const change = { pending: [...existing.pending, trigger], updatedAt: at };
  await tx.updateTask(existing.id, change);
  return { ...existing, ...change };
}

/** Doubling, and as long as the forge says when its rate limit is used up. */
function retryDelayMs(error: BerthError, attempt: number): number {
  const asked = error.code === 'rate_limited' ? Number(error.context['retryAfterMs'] ?? 0) : 0;
  return Math.max(Math.min(firstRetryMs * 2 ** attempt, lastRetryMs), Math.min(asked, longestRateLimitMs));
}
