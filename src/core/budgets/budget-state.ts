import type { BudgetState, UserBudget } from '../../protocol/budget.ts';
import type { ModelUsageFilter, SessionRecord, StoreReads } from '../ports/store.ts';
import { activeMsOf } from '../usage/turn-usage.ts';
import { isReached, limitsOf, unitsOf, type Limit } from './limits.ts';

/** A limit with what was added to it and what was used, in `unitsOf`. */
export interface LimitState extends Limit {
  raised: number;
  used: number;
  reached: boolean;
}

/** Every limit that holds for a session now. One query when there is none. */
export async function readLimits(
  reads: StoreReads,
  session: Pick<SessionRecord, 'id' | 'owner' | 'budget'>,
  server: UserBudget,
  now: Date,
): Promise<LimitState[]> {
  const limits = limitsOf(session, await reads.userBudget(session.owner), server, now.toISOString().slice(0, 10));
  if (limits.length === 0) return [];
  const timed = limits.some(({ measure }) => measure === 'minutes');
  const used = new Map<string, Promise<Used>>();
  return Promise.all(
    limits.map(async (limit) => {
      let ofScope = used.get(limit.scope);
      if (ofScope === undefined) used.set(limit.scope, (ofScope = readUsed(reads, limit, timed ? session.id : null, now)));
      const raised = await reads.budgetRaise(limit);
      const spent = (await ofScope)[limit.measure];
      return { ...limit, raised, used: spent, reached: isReached(limit.measure, spent, limit.limit + raised) };
    }),
  );
}

type Used = Record<Limit['measure'], number>;

async function readUsed(reads: StoreReads, { scope, subject, day }: Limit, atWorkId: string | null, now: Date): Promise<Used> {
  const filter: Pick<ModelUsageFilter, 'sessionId' | 'owner' | 'from' | 'to'> =
    scope === 'session' ? { sessionId: subject } : { owner: subject, ...(scope === 'day' ? { from: day, to: day } : {}) };
  const [sums, turns, running] = await Promise.all([
    reads.modelUsage(filter, [], 1),
    reads.turnUsage(filter),
    atWorkId === null ? [] : reads.turns(atWorkId, ['running']),
  ]);
  const models = sums[0];
  // A turn is counted with its time when it ends; of the one at work, the time until now.
  const atWork = await Promise.all(running.map((turn) => activeMsOf(reads, turn, now)));
  return {
    tokens:
      (models?.inputTokens ?? 0) +
      (models?.outputTokens ?? 0) +
      (models?.cacheReadTokens ?? 0) +
      (models?.cacheWriteTokens ?? 0),
    usd: models?.costNanos ?? 0,
    turns: turns.turns,
    minutes: turns.activeMs + atWork.reduce((sum, each) => sum + each, 0),
    unpriced: models?.unpricedCalls ?? 0,
  };
}

/** As callers see it. */
export function viewLimit({ scope, measure, limit, raised, used, reached }: LimitState): BudgetState {
  const unit = unitsOf[measure];
  return { scope, measure, limit: (limit + raised) / unit, used: used / unit, reached };
}
