import type { SessionBudgetView, UserBudget, UserBudgetView } from '../../protocol/budget.ts';
import { BerthError } from '../../protocol/errors.ts';
import { actorOf } from '../audit/actor.ts';
import type { Dependencies } from '../dependencies.ts';
import { openBudgetQuestion } from './budget-question.ts';
import { readLimits, viewLimit } from './budget-state.ts';

/** What budgets there are, and how much of them is used. */
export interface BudgetService {
  ofSession(sessionId: string): Promise<SessionBudgetView>;
  ofUser(user: string): Promise<UserBudgetView>;
  /** `null`: the server's alone. Holds from the next model call on. */
  setOfUser(user: string, budget: UserBudget | null, by: string): Promise<UserBudgetView>;
}

export function createBudgetService(
  { store, clock, settings }: Pick<Dependencies, 'store' | 'clock' | 'settings'>,
  onChanged: () => void,
): BudgetService {
  async function ofUser(user: string): Promise<UserBudgetView> {
    return { user, budget: await store.read.userBudget(user), serverDefault: settings.serverBudget };
  }

  return {
    async ofSession(sessionId) {
      const session = await store.read.session(sessionId);
      if (session === null || session.deletingAt !== null) {
        throw new BerthError('not_found', `there is no session ${sessionId}`, { field: 'id' });
      }
      const limits = await readLimits(store.read, session, settings.serverBudget, clock.now());
      const asked = await openBudgetQuestion(store.read, sessionId);
      return { own: session.budget, limits: limits.map(viewLimit), requestId: asked?.requestId ?? null };
    },
    ofUser,
    async setOfUser(user, budget, by) {
      await store.transaction(async (tx) => {
        const at = clock.now().toISOString();
        await tx.saveUserBudget(user, budget, at);
        await tx.appendAudit([
          { at, actor: actorOf(by), action: 'budget.set', target: user, sessionId: null, detail: { budget } },
        ]);
      });
      onChanged();
      return ofUser(user);
    },
  };
}
