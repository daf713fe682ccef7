import { z } from 'zod';
import type { Clock } from '../core/ports/clock.ts';
import type { DeliveryRecord, Store, TaskTrigger } from '../core/ports/store.ts';
import type { TaskService } from '../core/tasks/task-service.ts';
import { noreplyEmail } from './addresses.ts';
import { readers, type Candidate } from './candidate.ts';
import type { Connection } from './connection.ts';
import { refusalByGate } from './gate.ts';
import type { InstallationCalls } from './installation-call.ts';
import { installationHandlers } from './installations.ts';
import { eventName } from './payloads.ts';
import { isAllowed, upsertFound } from './repositories.ts';
import { saidBy } from './review.ts';
import { refusalByRules } from './trigger-rules.ts';

export interface DeliveryContext {
  store: Store;
  clock: Clock;
  connection: Connection;
  calls: InstallationCalls;
  tasks: Pick<TaskService, 'request'>;
  /** Whose repositories may be worked on; `null` for all. */
  accounts: readonly string[] | null;
}

export type Outcome = { state: 'done'; reason: null } | { state: 'ignored'; reason: string };

/** Whether anything is ever done for this event; what is not need not be kept. */
export function isHandled(event: string, payload: unknown): boolean {
  const name = eventName(event, payload);
  return Object.hasOwn(readers, name) || Object.hasOwn(installationHandlers, name);
}

/**
 * From a delivery to its operation. Safe to repeat: what it leads to is taken once. Throws the
 * failures of GitHub and of the store; a payload that is not understood is ignored with the reason.
 */
export async function handleDelivery(context: DeliveryContext, delivery: DeliveryRecord, signal: AbortSignal): Promise<Outcome> {
  const name = eventName(delivery.event, delivery.payload);
  const app = await context.connection.require();
  if (Object.hasOwn(installationHandlers, name)) {
    const result = await installationHandlers[name]!(context, app, delivery.payload);
    return result === null ? done : ignored(typeof result === 'string' ? result : misunderstood(result));
  }
  if (!Object.hasOwn(readers, name)) return ignored(`${name} is not acted on`);
  const candidate = readers[name]!(delivery.payload);
  if (candidate instanceof z.ZodError) return ignored(misunderstood(candidate));
  return handleCandidate(context, candidate, delivery.id, signal);
}

async function handleCandidate(
  context: DeliveryContext,
  candidate: Candidate,
  deliveryId: string,
  signal: AbortSignal,
): Promise<Outcome> {
  const { store, clock, connection, calls, tasks, accounts } = context;
  const app = await connection.require();
  const { repository: named, sender, number } = candidate;
  if (!isAllowed(accounts, named.owner)) return ignored(`${named.owner} is not an account that may use this server`);
  const at = clock.now().toISOString();
  // The payload is GitHub's own word, so a repository that no installation event told of is taken from it.
  const repository = await store.transaction((tx) => upsertFound(tx, app, named, at));

  const task = await store.read.taskByNumber(repository.id, number);
  const byRules = refusalByRules(candidate, repository.settings.triggers, app, task);
  if (byRules !== null) return ignored(byRules);
  const byGate = await refusalByGate(calls, repository, candidate, signal);
  if (byGate !== null) return ignored(byGate);
  const said = await saidBy(calls, repository, candidate, signal);
  if (said === null) return ignored('it says nothing that asks for work');

  const trigger: TaskTrigger = {
    ...said,
    number,
    login: sender.login,
    author: { name: sender.login, email: noreplyEmail(app.webUrl, sender.id, sender.login) },
    deliveryId,
  };
  await tasks.request(repository, trigger);
  return done;
}

const done: Outcome = { state: 'done', reason: null };

function ignored(reason: string): Outcome {
  return { state: 'ignored', reason };
}

/** Names the place, never what stood there. */
function misunderstood(error: z.ZodError): string {
  const [issue] = error.issues;
  return `the payload is not understood: ${issue?.path.map(String).join('.') ?? ''} ${issue?.code ?? ''}`.slice(0, 300);
}
