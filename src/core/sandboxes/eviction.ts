import type { SlotQuota } from '../../protocol/quota-subject.ts';
import { countsAgainst } from '../quotas/subjects.ts';
import { unusedSessions, type Unused } from './activity.ts';
import type { SandboxesContext } from './context.ts';
import { awake, restingStep } from './idle-policy.ts';
import type { RestSession } from './resting.ts';
import { slotHolding } from './slots.ts';

export interface Eviction {
  /** Whether the slot came free; never rejects. */
  done: Promise<boolean>;
}

/**
 * Begins to take the slot of the longest unused sandbox: it is hibernated where the provider can, else stopped. Several
 * may be under way, each on another. `within`: only of those that count against this quota. `null` when every sandbox is busy.
 */
export type BeginEviction = (within?: SlotQuota | null) => Promise<Eviction | null>;

/** One that could not be put to rest is let alone for so long, so that it is not tried again and again. */
const spareMs = 5_000;

export function createEviction(context: SandboxesContext, restSession: RestSession): BeginEviction {
  const { deps, events } = context;
  const underWay = new Set<string>();
  const sparedUntilMs = new Map<string, number>();

  async function evict({ sessionId, provider }: Unused): Promise<boolean> {
    try {
      const evicted = await restSession(
        sessionId,
        restingStep(deps.providers.of(provider).capabilities),
        'its slot was needed',
        true,
      );
      if (evicted) events.onEvicted();
      else spare(sessionId);
      return evicted;
    } catch (error) {
      deps.logger.error({ sessionId, err: error }, 'a sandbox could not be evicted');
      spare(sessionId);
      return false;
    } finally {
      underWay.delete(sessionId);
    }
  }

  function spare(sessionId: string): void {
    const nowMs = deps.clock.now().getTime();
    for (const [id, untilMs] of sparedUntilMs) if (untilMs <= nowMs) sparedUntilMs.delete(id);
    sparedUntilMs.set(sessionId, nowMs + spareMs);
  }

  return async (within = null) => {
    const counting = within === null ? null : await sessionsWithin(context, within);
    const nowMs = deps.clock.now().getTime();
    for (const unused of await unusedSessions(context, awake)) {
      const { sessionId, work, provider } = unused;
      // A question must outlive its sandbox's sleep: only a memory image keeps the agent that asks.
      if (work === 'asking' && restingStep(deps.providers.of(provider).capabilities) !== 'hibernate') continue;
      if (counting !== null && !counting.has(sessionId)) continue;
      if (underWay.has(sessionId) || (sparedUntilMs.get(sessionId) ?? 0) > nowMs) continue;
      underWay.add(sessionId);
      return { done: evict(unused) };
    }
    return null;
  };
}

async function sessionsWithin({ deps }: SandboxesContext, quota: SlotQuota): Promise<Set<string>> {
  const holders = await deps.store.read.slotHolders(slotHolding);
  return new Set(holders.filter((holder) => countsAgainst(quota, holder)).map(({ sessionId }) => sessionId));
}
