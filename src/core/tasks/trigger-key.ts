import type { StoreReads, TaskRecord, TaskTrigger } from '../ports/store.ts';

/** What a trigger is, whichever delivery brought it. */
function identityOf(trigger: TaskTrigger): string {
  return `trigger:${trigger.kind}:${trigger.id}:`;
}

/** The idempotency key of a trigger's turn: a trigger that is asked for anew after a failure gets a turn of its own. */
export function turnKey(trigger: TaskTrigger): string {
  return `${identityOf(trigger)}${trigger.deliveryId}`;
}

/**
 * Whether a task has taken this trigger in already. One that failed may be asked for anew, by another
 * delivery; the issue itself starts a task and is no follow-up, however often it is labelled.
 */
export async function isTaken(reads: StoreReads, task: TaskRecord, trigger: TaskTrigger): Promise<boolean> {
  const same = (other: TaskTrigger) => identityOf(other) === identityOf(trigger);
  if (task.pending.some(same)) return true;
  if (task.trigger.deliveryId === trigger.deliveryId && same(task.trigger)) return true;
  if (task.state === 'failed') return !same(task.trigger) && (await hasRun(reads, task, trigger));
  if (trigger.kind === 'issue' || same(task.trigger)) return true;
  return hasRun(reads, task, trigger);
}

async function hasRun(reads: StoreReads, task: TaskRecord, trigger: TaskTrigger): Promise<boolean> {
  if (task.sessionId === null) return false;
  const turns = await reads.turns(task.sessionId);
  return turns.some(
    (turn) =>
      turn.idempotencyKey?.startsWith(identityOf(trigger)) === true &&
      !(turn.state === 'failed' || turn.state === 'cancelled'),
  );
}
