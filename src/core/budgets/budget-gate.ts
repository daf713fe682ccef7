import type { UserBudget } from '../../protocol/budget.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { PermissionRecord, Store, StoreTransaction } from '../ports/store.ts';
import { askAboutBudget, closeQuestion, openBudgetQuestion } from './budget-question.ts';
import { readLimits } from './budget-state.ts';

/** Holds model calls of sessions whose budget is reached, and asks. */
export interface BudgetGate {
  /**
   * Resolves when the session may make a model call. Throws `budget_reached` when it may not, for good, and `unavailable`
   * when nobody has answered for so long that its agent should ask again: a held call must end before clients give up.
   */
  pass(sessionId: string, signal: AbortSignal): Promise<void>;
}

/** Below the five minutes after which common HTTP clients give up on an answer's head. */
const holdMs = 4 * 60_000;
/** Another session's answer may have raised the same limit. */
const lookAgainMs = 15_000;

export function createBudgetGate(deps: { store: Store; clock: Clock; serverBudget: UserBudget }): BudgetGate {
  const { store, clock, serverBudget } = deps;

  /** What stands in the way: `null`, nothing. Asks when nobody was asked yet. */
  async function look(tx: StoreTransaction, sessionId: string): Promise<PermissionRecord | null> {
    const [session, caller] = [await tx.session(sessionId), await tx.modelCaller(sessionId)];
    if (session === null || caller === null) throw new BerthError('not_found', 'the session is being deleted');
    const now = clock.now();
    const at = now.toISOString();
    const asked = await openBudgetQuestion(tx, sessionId);
    const limits = await readLimits(tx, session, serverBudget, now);
    const reached = limits.find((each) => each.reached);
    if (reached === undefined) {
      if (asked !== null) await closeQuestion(tx, asked, { outcome: 'cancelled', optionId: null, by: null, at });
      return null;
    }
    if (asked !== null) return asked;
    const turn = caller.turnId === null ? null : await tx.turn(caller.turnId);
    if (turn === null) throw new BerthError('budget_reached', 'the budget is used up, and no turn is at work to ask for more');
    if (turn.cancelRequestedAt !== null) throw new BerthError('budget_reached', 'the budget is used up, and the turn was stopped');
    return askAboutBudget(tx, session, turn.id, reached, at);
  }

  /** Reads alone, for the call that finds nothing in its way. */
  async function isFree(sessionId: string): Promise<boolean> {
    const session = await store.read.session(sessionId);
    if (session === null) throw new BerthError('not_found', 'the session is being deleted');
    return (await readLimits(store.read, session, serverBudget, clock.now())).every((each) => !each.reached);
  }

  return {
    async pass(sessionId, signal) {
      const deadlineMs = clock.now().getTime() + holdMs;
      for (;;) {
        if (await isFree(sessionId)) {
          if ((await openBudgetQuestion(store.read, sessionId)) === null) return;
        }
        // Listening begins before the look, so that an answer in between is not missed.
        const changed = nextChange(store, clock, sessionId, signal);
        try {
          if ((await store.transaction((tx) => look(tx, sessionId))) === null) return;
          const left = deadlineMs - clock.now().getTime();
          if (left <= 0) throw new BerthError('unavailable', 'the budget is used up; a person was asked and has not answered yet');
          await changed.wait(Math.min(left, lookAgainMs));
          signal.throwIfAborted();
        } finally {
          changed.stop();
        }
      }
    },
  };
}

/** The session's next event. */
function nextChange(store: Store, clock: Clock, sessionId: string, signal: AbortSignal) {
  const changed = new AbortController();
  const stopListening = store.onEvents((id) => {
    if (id === sessionId) changed.abort();
  });
  return {
    async wait(timeoutMs: number): Promise<void> {
      await clock.sleep(timeoutMs, AbortSignal.any([changed.signal, signal])).catch(() => {});
    },
    stop: stopListening,
  };
}
