import type { Dependencies } from '../dependencies.ts';
import { actorOf } from '../audit/actor.ts';
import type { PermissionRecord } from '../ports/store.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';
import { closeQuestion, raiseOf, stopOption, subjectOf } from './budget-question.ts';
import { readLimits } from './budget-state.ts';
import { unitsOf } from './limits.ts';
import { BerthError } from '../../protocol/errors.ts';

/** Carries out what people answer to questions about budgets, and fails those closed that nobody answers. */
export interface BudgetAnswers {
  /** An option of `null` stops the turn. Throws `conflict` when the question is open no more. */
  give(asked: PermissionRecord, optionId: string | null, by: string): Promise<void>;
  /** Ends questions whose time is over or whose limit was raised elsewhere, and wakes whose answer has come. */
  check(): Promise<void>;
  /** A limit was changed: looks soon. */
  wake(): void;
  close(): Promise<void>;
}

const wakeTimeoutMs = 60_000;

export function createBudgetAnswers(
  deps: Pick<Dependencies, 'store' | 'clock' | 'logger' | 'settings'>,
  sandboxes: Pick<SessionSandboxes, 'use'>,
  stopTurn: (sessionId: string, turnId: string) => Promise<void>,
): BudgetAnswers {
  const { store, clock, logger, settings } = deps;
  const closing = new AbortController();
  const underWay = new Map<string, Promise<void>>();

  function once(sessionId: string, work: () => Promise<unknown>): void {
    if (underWay.has(sessionId) || closing.signal.aborted) return;
    const run = work()
      .then(() => {})
      .catch((error: unknown) => logger.debug({ sessionId, err: error }, 'an answer about a budget could not be carried out yet'))
      .finally(() => underWay.delete(sessionId));
    underWay.set(sessionId, run);
  }

  /** Its agent hears of the answer by asking again, for which it must run. */
  function wake(sessionId: string): void {
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(wakeTimeoutMs)]);
    once(sessionId, () => sandboxes.use(sessionId, signal, async () => {}));
  }

  /** False when the question is open no more. */
  async function end(
    { sessionId, requestId }: PermissionRecord,
    outcome: 'selected' | 'expired',
    optionId: string | null,
    by: string | null,
  ): Promise<boolean> {
    const isRaise = optionId !== null && optionId !== stopOption;
    return store.transaction(async (tx) => {
      const asked = await tx.permission(sessionId, requestId);
      if (asked === null || asked.state !== 'open') return false;
      const at = clock.now().toISOString();
      const { turnId } = asked;
      if (isRaise) {
        const question = subjectOf(asked);
        const { scope, subject, day, measure } = question;
        // A user's own limit would be none if he could raise it.
        const isOwner = by !== null && (await tx.user(by))?.role === 'owner';
        if (scope !== 'session' && !isOwner) {
          throw new BerthError('forbidden', "a user's limit is for the owner of the installation to raise", { field: 'optionId' });
        }
        const amount = raiseOf(question, optionId);
        await tx.addBudgetRaise({ scope, subject, day, measure, amount });
        const data = { scope, measure, amount: amount / unitsOf[measure], by: by ?? 'server' };
        await tx.appendEvents(sessionId, [{ at, turnId, type: 'budget.raised', data }]);
        await tx.appendAudit([
          { at, actor: actorOf(by ?? 'server'), action: 'budget.raised', target: subject, sessionId, detail: { ...data } },
        ]);
      } else if (turnId !== null) {
        const turn = await tx.turn(turnId);
        // Before the question is closed, so that the held call is refused and asks no second one.
        if (turn?.state === 'running') await tx.updateTurn(turnId, { cancelRequestedAt: turn.cancelRequestedAt ?? at });
      }
      await closeQuestion(tx, asked, { outcome, optionId, by, at });
      return true;
    });
  }

  async function stop({ sessionId, turnId }: PermissionRecord): Promise<void> {
    if (turnId !== null) await stopTurn(sessionId, turnId);
  }

  async function look(asked: PermissionRecord): Promise<void> {
    const now = clock.now();
    if (Date.parse(asked.expiresAt) <= now.getTime()) {
      if (await end(asked, 'expired', stopOption, null)) once(asked.sessionId, () => stop(asked));
      return;
    }
    const raised = await store.transaction(async (tx) => {
      const [session, latest] = [await tx.session(asked.sessionId), await tx.permission(asked.sessionId, asked.requestId)];
      if (session === null || latest?.state !== 'open') return false;
      const limits = await readLimits(tx, session, settings.serverBudget, now);
      if (limits.some((each) => each.reached)) return false;
      await closeQuestion(tx, latest, { outcome: 'cancelled', optionId: null, by: null, at: now.toISOString() });
      return true;
    });
    if (raised) wake(asked.sessionId);
  }

  return {
    async give(asked, optionId, by) {
      const chosen = optionId ?? stopOption;
      if (!(await end(asked, 'selected', chosen, by))) {
        throw new BerthError('conflict', 'the question was answered already', { field: 'requestId' });
      }
      if (chosen === stopOption) await stop(asked);
      else wake(asked.sessionId);
    },
    async check() {
      for (const asked of await store.read.openBudgetQuestions()) await look(asked);
      // A turn at work whose sandbox sleeps has had its answer, and a server that was killed before it could wake it.
      const asleep = await store.read.sandboxUses({ hostId: settings.hostId, statuses: ['paused', 'hibernated'] });
      for (const { sessionId, work } of asleep) if (work === 'busy') wake(sessionId);
    },
    wake() {
      once('', () => this.check());
    },
    async close() {
      closing.abort();
      await Promise.allSettled(underWay.values());
    },
  };
}
