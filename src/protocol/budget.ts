import { z } from 'zod';
import { idPrefixes } from './ids.ts';

/**
 * Budgets: how much may be used before a person is asked. Three limit a session at once: its own (`session`), its user's
 * over all their sessions (`user`), and its user's of one day in UTC (`day`).
 */

export const budgetScope = z.enum(['session', 'user', 'day']);
export type BudgetScope = z.infer<typeof budgetScope>;

/** `unpriced` is implied by a limit in dollars: calls of models without a price, which no such limit can hold. */
export const budgetMeasure = z.enum(['tokens', 'usd', 'turns', 'minutes', 'unpriced']);
export type BudgetMeasure = z.infer<typeof budgetMeasure>;

/** What is not named has no limit. */
export const budgetLimits = z.strictObject({
  /** Of all kinds: in, out, read from a cache and written to it. */
  tokens: z.number().int().min(1).max(1e12).optional(),
  usd: z.number().min(0.0001).max(1e6).optional(),
  /** Begun. */
  turns: z.number().int().min(1).max(1e9).optional(),
  /** At work, without the time in which answers were waited for. */
  minutes: z.number().min(0.01).max(1e8).optional(),
});
export type BudgetLimits = z.infer<typeof budgetLimits>;

/** Of a user. `session`: of each of their sessions that has no limit of its own for that measure. */
export const userBudget = z.strictObject({
  session: budgetLimits.optional(),
  user: budgetLimits.optional(),
  day: budgetLimits.optional(),
});
export type UserBudget = z.infer<typeof userBudget>;

export const userBudgetView = z.object({
  user: z.string(),
  /** Its own settings; `null`: none. */
  budget: userBudget.nullable(),
  /** What holds where it says nothing. */
  serverDefault: userBudget,
});
export type UserBudgetView = z.infer<typeof userBudgetView>;

/** One limit that holds for a session now. */
export const budgetState = z.object({
  scope: budgetScope,
  measure: budgetMeasure,
  /** With what people added to it. */
  limit: z.number(),
  used: z.number(),
  reached: z.boolean(),
});
export type BudgetState = z.infer<typeof budgetState>;

export const sessionBudgetView = z.object({
  /** The session's own limits; `null`: its user's and the server's alone. */
  own: budgetLimits.nullable(),
  limits: z.array(budgetState),
  /** The open question about it, answered like a permission request. */
  requestId: z.string().nullable(),
});
export type SessionBudgetView = z.infer<typeof sessionBudgetView>;

/** Whether a permission request is the server's own question about a budget. Nothing answers one by itself. */
export function isBudgetQuestion(requestId: string): boolean {
  return requestId.startsWith(`${idPrefixes.budgetQuestion}_`);
}

const measures = ['tokens', 'usd', 'turns', 'minutes'] as const;

/** `usd=5,tokens=2m,turns=20,minutes=90`; `k` and `m` stand for thousand and million. Throws what zod throws, or `TypeError`. */
export function parseBudgetLimits(text: string): BudgetLimits {
  const limits: Record<string, number> = {};
  for (const entry of text.split(',').map((each) => each.trim()).filter((each) => each !== '')) {
    const [, name, figure, unit] = /^([a-z]+)=([0-9]+(?:\.[0-9]+)?)([km]?)$/.exec(entry) ?? [];
    if (name === undefined || !(measures as readonly string[]).includes(name)) {
      throw new TypeError(`"${entry}" is not of the form ${measures.join('|')}=number`);
    }
    limits[name] = Number(figure) * (unit === 'k' ? 1e3 : unit === 'm' ? 1e6 : 1);
  }
  return budgetLimits.parse(limits);
}
