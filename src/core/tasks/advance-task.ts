import { asBerthError, BerthError } from '../../protocol/errors.ts';
import type { Core } from '../create-core.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Forge } from '../ports/forge.ts';
import type { RepositoryRecord, TaskRecord, TaskTrigger } from '../ports/store.ts';
import { openTurnStates } from '../turns/turn-states.ts';
import { lastAnswer } from './last-answer.ts';
import { publishTask } from './publish-task.ts';
import { say } from './say.ts';
import { answerComment, commentMarker, failureComment, workingComment } from './task-comment.ts';
import { firstPrompt, followUpPrompt } from './task-prompt.ts';
import { turnKey } from './trigger-key.ts';

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

/** An agent that asks all the same is answered by whoever looks, or refused. */
const taskPermissionTimeoutSeconds = 60 * 60;
const stepTimeoutMs = 10 * 60_000;
const sayTimeoutMs = 60_000;

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
      await failTask(context, task.id, error, signal);
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
    await say(context, repository, task, workingComment(task, agent.title), signal, commentMarker(task));
  }
  const issue = await forge.readIssue(repository, task.issueNumber, signal);
  let { sessionId } = task;
  if (sessionId === null) {
    const session = await core.sessions.create(
      {
        repository: repository.url,
        agent: agentName,
        // Nobody watches a task; what leaves the sandbox is done by Berth, not by the agent.
        permissions: 'allow',
        permissionTimeoutSeconds: taskPermissionTimeoutSeconds,
        title: `#${issue.number} ${issue.title}`.slice(0, 300),
        workBranch: workBranchOf(task),
        labels: placementLabels(issue.labels),
        author: await forge.botIdentity(repository, signal),
        ...(repository.settings.baseBranch === null ? {} : { branch: repository.settings.baseBranch }),
        ...(repository.settings.template === null ? {} : { template: repository.settings.template }),
      },
      task.trigger.kind === 'request' ? task.trigger.login : deps.settings.taskOwner,
      signal,
      (tx, record) => tx.updateTask(task.id, { sessionId: record.id, pushedCommit: null }),
    );
    sessionId = session.id;
  }
  // The agent knows the issue once a turn has reached it.
  const knowsIssue = (await core.sessions.turns(sessionId)).some((turn) => turn.startedAt !== null);
  const key = turnKey(task.trigger);
  const earlier = await deps.store.read.turnByKey(sessionId, key);
  const turn =
    earlier ??
    (
      await core.sessions.prompt(
        sessionId,
        { prompt: knowsIssue ? followUpPrompt(task.trigger) : firstPrompt(issue, task.trigger), idempotencyKey: key },
        requesterOf(task.trigger),
      )
    ).turn;
  await change(context, task.id, { state: 'working', turnId: turn.id, error: null });
}

/** A user of Berth, or somebody on the forge. */
function requesterOf({ kind, login }: TaskTrigger): string {
  return kind === 'request' ? login : `github:${login}`;
}

async function publish(context: TaskContext, task: TaskRecord, signal: AbortSignal): Promise<void> {
  const { deps } = context;
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
  if (await publishTask(context, repository, task, signal)) return;
  const answer = await lastAnswer(deps.store.read, task.sessionId, turn.id);
  await say(context, repository, task, answerComment(task, answer), signal, commentMarker(task));
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

/** Ends what the task is at as failed, and says so on the forge as far as that can be done. */
export async function failTask(context: TaskContext, id: string, cause: BerthError, signal: AbortSignal): Promise<void> {
  const { deps } = context;
  const error = { code: cause.code, message: cause.message };
  const task = await deps.store.read.task(id);
  if (task === null) return;
  deps.logger.warn({ taskId: task.id, state: task.state, err: cause }, 'task failed');
  await change(context, task.id, { state: 'failed', error });
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(sayTimeoutMs)]);
    await sayFailure(context, await repositoryOf(context, task), task, error, limit);
  } catch (unsaid) {
    deps.logger.error({ taskId: task.id, err: unsaid }, 'the failure could not be told on the forge');
  }
}

/** The work branch. A task whose session was deleted after a push begins anew beside what it pushed, which is never overwritten. */
function workBranchOf(task: TaskRecord): string {
  const branch = `berth/issue-${task.issueNumber}-${task.id.slice(-6)}`;
  return task.pushedCommit === null ? branch : `${branch}-${task.pushedCommit.slice(0, 8)}`;
}

async function sayFailure(
  context: TaskContext,
  repository: RepositoryRecord,
  task: TaskRecord,
  error: { code: string; message: string },
  signal: AbortSignal,
): Promise<void> {
  await say(context, repository, task, failureComment(task, error), signal, commentMarker(task));
}

async function repositoryOf({ deps }: TaskContext, task: TaskRecord): Promise<RepositoryRecord> {
  const repository = await deps.store.read.repository(task.repositoryId);
  if (repository === null) throw new BerthError('repository_not_found', 'the repository of this task is not known any more');
  return repository;
}

async function change({ deps }: TaskContext, id: string, values: Partial<Omit<TaskRecord, 'id'>>): Promise<void> {
  await deps.store.transaction((tx) => tx.updateTask(id, { ...values, updatedAt: deps.clock.now().toISOString() }));
}

/** As many as a request may have; what is longer no policy names. */
function placementLabels(labels: readonly string[]): string[] {
  return labels.filter((label) => label !== '' && label.length <= 100).slice(0, 50);
}
