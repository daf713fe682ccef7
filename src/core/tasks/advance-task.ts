import { asBerthError, BerthError } from '../../protocol/errors.ts';
import type { Core } from '../create-core.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Forge } from '../ports/forge.ts';
import type { RepositoryRecord, TaskRecord } from '../ports/store.ts';
import { openTurnStates } from '../turns/turn-states.ts';
import { lastAnswer } from './last-answer.ts';
import { publishTask } from './publish-task.ts';
import { answerComment, commentMarker, failureComment, workingComment } from './task-comment.ts';
import { firstPrompt, followUpPrompt } from './task-prompt.ts';

/**
 * States of a task. Every step may be repeated after a crash; the state is stored after the step.
 *
 * - `accepted`: a trigger was let in. Step: acknowledge on the forge, make the session (once per task),
 *   prompt it with the trigger as idempotency key. Then `working`.
 * - `working`: the turn runs; nothing to do until it ends. Then `publishing`.
 * - `publishing`: commit what the agent left, push, find or open the pull request, say so. Then `waiting`.
 * - `waiting`: done for now. A further comment, or one that came meanwhile (`pending`), leads to `accepted`.
 * - `failed`: the reason is in the comment. A further comment leads to `accepted` as well.
 */
export interface TaskContext {
  deps: Dependencies;
  forge: Forge;
  core: Core;
}

const stepTimeoutMs = 10 * 60_000;

/** Takes a task as far as it can go now. */
export async function advanceTask(context: TaskContext, taskId: string, signal: AbortSignal): Promise<void> {
  const { store } = context.deps;
  for (;;) {
    const task = await store.read.task(taskId);
    if (task === null) return;
    const stepSignal = AbortSignal.any([signal, AbortSignal.timeout(stepTimeoutMs)]);
    try {
      const next = await step(context, task, stepSignal);
      if (!next) return;
    } catch (cause) {
      if (signal.aborted) return;
      const error = asBerthError(cause);
      if (error.retryable) throw error;
      await fail(context, task, error, signal);
    }
  }
}

/** One step; false when there is nothing to do now. */
async function step(context: TaskContext, task: TaskRecord, signal: AbortSignal): Promise<boolean> {
  switch (task.state) {
    case 'accepted':
      await begin(context, task, signal);
      return true;
    case 'working': {
      const turn = task.turnId === null ? null : await context.deps.store.read.turn(task.turnId);
      if (turn !== null && openTurnStates.includes(turn.state)) return false;
      await change(context, task.id, { state: 'publishing' });
      return true;
    }
    case 'publishing':
      await publish(context, task, signal);
      return true;
    case 'waiting':
    case 'failed':
      return takePending(context, task);
  }
}

async function begin(context: TaskContext, task: TaskRecord, signal: AbortSignal): Promise<void> {
  const { deps, forge, core } = context;
  const repository = await repositoryOf(context, task);
  await forge.acknowledge(repository, task.trigger, signal);
  const agentName = repository.settings.agent ?? 'claude';
  const agent = deps.agents.get(agentName);
  if (task.commentId === null) {
    const commentId =
      (await forge.findComment(repository, task.trigger.number, commentMarker(task), signal)) ??
      (await forge.createComment(repository, task.trigger.number, workingComment(task, agent.title), signal));
    await change(context, task.id, { commentId });
  }
  const issue = await forge.readIssue(repository, task.issueNumber, signal);
  const isFirst = task.sessionId === null;
  let { sessionId } = task;
  if (sessionId === null) {
    const session = await core.sessions.create(
      {
        repository: repository.url,
        agent: agentName,
        title: `#${issue.number} ${issue.title}`.slice(0, 300),
        workBranch: `berth/issue-${issue.number}-${task.id.slice(-6)}`,
        author: await forge.botIdentity(repository, signal),
        ...(repository.settings.baseBranch === null ? {} : { branch: repository.settings.baseBranch }),
        ...(repository.settings.template === null ? {} : { template: repository.settings.template }),
      },
      `github:${task.trigger.login}`,
      signal,
      (tx, record) => tx.updateTask(task.id, { sessionId: record.id }),
    );
    sessionId = session.id;
  }
  const turnsBefore = isFirst ? 0 : (await core.sessions.turns(sessionId)).length;
  const key = `trigger:${task.trigger.kind}:${task.trigger.id}`;
  const earlier = await deps.store.read.turnByKey(sessionId, key);
  const turn =
    earlier ??
    (
      await core.sessions.prompt(
        sessionId,
        { prompt: turnsBefore === 0 ? firstPrompt(issue, task.trigger) : followUpPrompt(task.trigger), idempotencyKey: key },
        `github:${task.trigger.login}`,
      )
    ).turn;
  await change(context, task.id, { state: 'working', turnId: turn.id, error: null });
}

async function publish(context: TaskContext, task: TaskRecord, signal: AbortSignal): Promise<void> {
  const { forge, deps } = context;
  const repository = await repositoryOf(context, task);
  const turn = task.turnId === null ? null : await deps.store.read.turn(task.turnId);
  if (turn === null || task.sessionId === null) {
    throw new BerthError('not_found', 'the session of this task was deleted');
  }
  if (turn.state !== 'completed') {
    const error = turn.error ?? { code: 'cancelled', message: 'the turn was interrupted' };
    await sayFailure(context, repository, task, error, signal);
    await change(context, task.id, { state: 'failed', error });
    return;
  }
  const published = await publishTask(context, repository, task, signal);
  if (published === null && task.commentId !== null) {
    const answer = await lastAnswer(deps.store.read, task.sessionId, turn.id);
    await forge.updateComment(repository, task.commentId, answerComment(task, answer), signal);
  }
  await change(context, task.id, { state: 'waiting', error: null });
}

async function takePending(context: TaskContext, task: TaskRecord): Promise<boolean> {
  const { store, clock } = context.deps;
  return store.transaction(async (tx) => {
    const latest = await tx.task(task.id);
    const [next, ...pending] = latest?.pending ?? [];
    if (latest === null || next === undefined || !(latest.state === 'waiting' || latest.state === 'failed')) return false;
    await tx.updateTask(task.id, {
      state: 'accepted',
      trigger: next,
      pending,
      commentId: null,
      turnId: null,
      updatedAt: clock.now().toISOString(),
    });
    return true;
  });
}

async function fail(context: TaskContext, task: TaskRecord, cause: BerthError, signal: AbortSignal): Promise<void> {
  const { deps } = context;
  const error = { code: cause.code, message: cause.message };
  deps.logger.warn({ taskId: task.id, state: task.state, err: cause }, 'task failed');
  await change(context, task.id, { state: 'failed', error });
  try {
    await sayFailure(context, await repositoryOf(context, task), (await deps.store.read.task(task.id)) ?? task, error, signal);
  } catch (unsaid) {
    deps.logger.error({ taskId: task.id, err: unsaid }, 'the failure could not be told on the forge');
  }
}

async function sayFailure(
  { forge }: TaskContext,
  repository: RepositoryRecord,
  task: TaskRecord,
  error: { code: string; message: string },
  signal: AbortSignal,
): Promise<void> {
  if (task.commentId === null) {
    await forge.createComment(repository, task.trigger.number, failureComment(task, error), signal);
  } else {
    await forge.updateComment(repository, task.commentId, failureComment(task, error), signal);
  }
}

async function repositoryOf({ deps }: TaskContext, task: TaskRecord): Promise<RepositoryRecord> {
  const repository = await deps.store.read.repository(task.repositoryId);
  if (repository === null) throw new BerthError('repository_not_found', 'the repository of this task is not known any more');
  return repository;
}

async function change({ deps }: TaskContext, id: string, values: Partial<Omit<TaskRecord, 'id'>>): Promise<void> {
  await deps.store.transaction((tx) => tx.updateTask(id, { ...values, updatedAt: deps.clock.now().toISOString() }));
}
