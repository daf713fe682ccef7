import { BerthError } from '../../protocol/errors.ts';
import type { RepositoryRecord, TaskRecord } from '../ports/store.ts';
import type { TaskContext } from './advance-task.ts';

/**
 * Puts `body` into the task's comment, or into a new one when there is none or somebody removed it.
 * Stores the comment's id. A crash between writing and storing is cured by the marker in `body`,
 * which `findMarked` looks for when the task has no comment.
 */
export async function say(
  { deps, forge }: TaskContext,
  repository: RepositoryRecord,
  task: TaskRecord,
  body: string,
  signal: AbortSignal,
  findMarked: string,
): Promise<void> {
  const known = task.commentId ?? (await forge.findComment(repository, task.trigger.number, findMarked, signal));
  const commentId =
    known !== null && (await updated(forge.updateComment(repository, known, body, signal)))
      ? known
      : await forge.createComment(repository, task.trigger.number, body, signal);
  if (commentId === task.commentId) return;
  const updatedAt = deps.clock.now().toISOString();
  await deps.store.transaction((tx) => tx.updateTask(task.id, { commentId, updatedAt }));
}

/** False when the comment is gone. */
async function updated(update: Promise<void>): Promise<boolean> {
  try {
    await update;
    return true;
  } catch (error) {
    if (error instanceof BerthError && error.code === 'not_found') return false;
    throw error;
  }
}
