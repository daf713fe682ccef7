import { z } from 'zod';
import { budgetMeasure, budgetScope, isBudgetQuestion, type BudgetMeasure } from '../../protocol/budget.ts';
import type { PermissionOption } from '../../protocol/events.ts';
import { newId } from '../../protocol/ids.ts';
import type { ModelCaller, NewEvent, PermissionRecord, SessionRecord, StoreTransaction } from '../ports/store.ts';
import { settleSessionStatus } from '../turns/turn-states.ts';
import type { LimitState } from './budget-state.ts';
import { unitsOf } from './limits.ts';

/**
 * A reached budget is a question in the session's log, asked and answered as an agent's permission request is, but
 * asked by the server: its id says so, the runner can neither ask nor answer one, and what was granted is kept
 * in `budget_raises`, never read out of an answer.
 */

/** What a question is about; kept in its record, which only the server writes. */
const about = z.object({
  scope: budgetScope,
  subject: z.string(),
  day: z.string(),
  measure: budgetMeasure,
  limit: z.number(),
  raised: z.number(),
  used: z.number(),
});
export type QuestionSubject = z.infer<typeof about>;

export const stopOption = 'stop';

/** Parts of the limit that are offered on top of it. */
const shares: Record<string, number> = { raise: 1, raise_quarter: 0.25 };

/** What an unpriced model is let do at a time. */
const unpricedStep = 100;

export async function askAboutBudget(
  tx: StoreTransaction,
  session: SessionRecord,
  turnId: string,
  reached: LimitState,
  at: string,
): Promise<PermissionRecord> {
  const requestId = newId('budgetQuestion');
  const { scope, subject, day, measure, limit, raised, used } = reached;
  const question: QuestionSubject = { scope, subject, day, measure, limit, raised, used };
  const options: PermissionOption[] = [
    ...Object.keys(shares).map((optionId) => ({
      optionId,
      name: `Raise it by ${describe(measure, raiseOf(question, optionId) - overshoot(question))}`,
      kind: 'allow_once' as const,
    })),
    { optionId: stopOption, name: 'Stop this turn', kind: 'reject_once' },
  ];
  const toolCall = { toolCallId: requestId, kind: 'other', title: titleOf(question), budget: question };
  const expiresAt = new Date(Date.parse(at) + session.permissionTimeoutMs).toISOString();
  const record: PermissionRecord = {
    sessionId: session.id,
    requestId,
    turnId,
    toolCall,
    options,
    state: 'open',
    optionId: null,
    answeredBy: null,
    requestedAt: at,
    expiresAt,
    resolvedAt: null,
  };
  await tx.upsertPermission(record);
  const unit = unitsOf[measure];
  const reachedData = { requestId, scope, measure, limit: (limit + raised) / unit, used: used / unit };
  await tx.appendEvents(session.id, [
    { at, turnId, type: 'budget.reached', data: reachedData },
    { at, turnId, type: 'permission.requested', data: { requestId, toolCall, options, expiresAt } },
  ]);
  await tx.appendAudit([
    { at, actor: 'server', action: 'budget.reached', target: subject, sessionId: session.id, detail: { ...reachedData } },
  ]);
  await settleSessionStatus(tx, session.id, at);
  return record;
}

/** The session's open question about a budget; `null` without one. */
export async function openBudgetQuestion(
  reads: Pick<StoreTransaction, 'openPermissions'>,
  sessionId: string,
): Promise<PermissionRecord | null> {
  const open = await reads.openPermissions(sessionId);
  return open.find(({ requestId }) => isBudgetQuestion(requestId)) ?? null;
}

/** Ends a question; what follows from the answer is the caller's, in the same transaction. */
export async function closeQuestion(
  tx: StoreTransaction,
  asked: PermissionRecord,
  end: { outcome: 'selected' | 'cancelled' | 'expired'; optionId: string | null; by: string | null; at: string },
): Promise<void> {
  const { outcome, optionId, by, at } = end;
  const { sessionId, requestId, turnId } = asked;
  await tx.upsertPermission({ ...asked, state: outcome, optionId, answeredBy: by, resolvedAt: at });
  const resolved: NewEvent = { at, turnId, type: 'permission.resolved', data: { requestId, outcome, optionId, by } };
  await tx.appendEvents(sessionId, [resolved]);
  await settleSessionStatus(tx, sessionId, at);
}

/** A turn that ends takes its open questions along. */
export async function closeQuestionsOfTurn(
  tx: StoreTransaction,
  { sessionId, turnId }: { sessionId: string } & Pick<ModelCaller, 'turnId'>,
  at: string,
): Promise<void> {
  for (const asked of await tx.openPermissions(sessionId)) {
    if (!isBudgetQuestion(asked.requestId) || asked.turnId !== turnId) continue;
    await closeQuestion(tx, asked, { outcome: 'cancelled', optionId: null, by: null, at });
  }
}

export function subjectOf(asked: PermissionRecord): QuestionSubject {
  return about.parse(asked.toolCall['budget']);
}

/** By how much an option raises the limit: to what was used already where that is more, and its share beyond. */
export function raiseOf(question: QuestionSubject, optionId: string): number {
  const share = shares[optionId] ?? 0;
  const step = question.measure === 'unpriced' ? unpricedStep : question.limit;
  return overshoot(question) + Math.max(1, Math.ceil(step * share));
}

function overshoot({ used, limit, raised }: QuestionSubject): number {
  return Math.max(0, used - limit - raised);
}

const scopeNames = { session: 'this session', user: 'this user', day: 'this user today' } as const;

function titleOf({ scope, measure, limit, raised, used }: QuestionSubject): string {
  if (measure === 'unpriced') {
    return `A model without a price was called (${describe(measure, used)}), which the limit in dollars of ${scopeNames[scope]} cannot count`;
  }
  return `The budget of ${scopeNames[scope]} is used up: ${describe(measure, used)} of ${describe(measure, limit + raised)}`;
}

function describe(measure: BudgetMeasure, units: number): string {
  const amount = units / unitsOf[measure];
  switch (measure) {
    case 'usd':
      return `$${amount.toFixed(amount < 1 ? 4 : 2)}`;
    case 'minutes':
      return `${Number(amount.toFixed(1))} min of work`;
    case 'unpriced':
      return `${amount} calls`;
    default:
      return `${amount} ${measure}`;
  }
}
