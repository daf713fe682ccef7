import type { BudgetLimits, BudgetMeasure, BudgetScope, UserBudget } from '../../protocol/budget.ts';
import type { SessionRecord } from '../ports/store.ts';

/** Whole numbers to count in, for one of what people speak of: billionths of a dollar, milliseconds. */
export const unitsOf: Record<BudgetMeasure, number> = { tokens: 1, usd: 1e9, turns: 1, minutes: 60_000, unpriced: 1 };

/** What a limit is on: a raise is kept under it. */
export interface LimitKey {
  scope: BudgetScope;
  /** A session's id, or a user. */
  subject: string;
  /** For the scope `day`; else empty. */
  day: string;
  measure: BudgetMeasure;
}

export interface Limit extends LimitKey {
  /** In `unitsOf`, before it was raised. */
  limit: number;
}

/** The limits that hold for a session: its own over its user's over the server's, measure by measure. */
export function limitsOf(
  session: Pick<SessionRecord, 'id' | 'owner' | 'budget'>,
  user: UserBudget | null,
  server: UserBudget,
  day: string,
): Limit[] {
  const over = (scope: BudgetScope): BudgetLimits => ({ ...server[scope], ...user?.[scope] });
  return [
    ...expand({ ...over('session'), ...session.budget }, { scope: 'session', subject: session.id, day: '' }),
    ...expand(over('user'), { scope: 'user', subject: session.owner, day: '' }),
    ...expand(over('day'), { scope: 'day', subject: session.owner, day }),
  ];
}

function expand(limits: BudgetLimits, key: Omit<LimitKey, 'measure'>): Limit[] {
  const found: Limit[] = [];
  for (const [measure, value] of Object.entries(limits) as [keyof BudgetLimits, number | undefined][]) {
    if (value !== undefined) found.push({ ...key, measure, limit: Math.round(value * unitsOf[measure]) });
  }
  if (limits.usd !== undefined) found.push({ ...key, measure: 'unpriced', limit: 0 });
  return found;
}

/**
 * Tokens, dollars and minutes are spent when they are all used; the turn that is at work is counted already, so the
 * last one may go on, and a call without a price is one too many.
 */
export function isReached(measure: BudgetMeasure, used: number, limit: number): boolean {
  return measure === 'turns' || measure === 'unpriced' ? used > limit : used >= limit;
}
