import {
  sessionBudgetView,
  userBudgetView,
  type SessionBudgetView,
  type UserBudget,
  type UserBudgetView,
} from '../../protocol/budget.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

/** How much may be used. A session's own limits: `sessions.update(id, { budget })`. */
export interface BudgetsResource {
  ofSession(sessionId: string, options?: CallOptions): Promise<SessionBudgetView>;
  ofUser(user: string, options?: CallOptions): Promise<UserBudgetView>;
  /** `null`: the server's limits alone. */
  setOfUser(user: string, budget: UserBudget | null, options?: CallOptions): Promise<UserBudgetView>;
}

export function createBudgetsResource(transport: Transport): BudgetsResource {
  const ofUser = (user: string) => `/api/users/${encodeURIComponent(user)}/budget`;
  return {
    ofSession: (id, options) =>
      transport.json(sessionBudgetView, 'GET', `/api/sessions/${encodeURIComponent(id)}/budget`, options),
    ofUser: (user, options) => transport.json(userBudgetView, 'GET', ofUser(user), options),
    setOfUser: (user, budget, options) =>
      transport.json(userBudgetView, 'PUT', ofUser(user), { json: { budget }, idempotent: true, ...options }),
  };
}
