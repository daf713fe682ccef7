import type { PoolOverview } from '../../protocol/api.ts';
import type { Dependencies } from '../dependencies.ts';
import { slotHolding } from '../sandboxes/slots.ts';
import { estimateError } from '../turns/estimate-error.ts';
import { measuredTurns } from '../turns/queue-view.ts';
import type { PoolFigures } from './pool-figures.ts';
import { isWarm, type WarmPool } from './warm-pool.ts';

/** What can be seen of the pool. */
export interface PoolService {
  overview(): Promise<PoolOverview>;
}

export function createPoolService(
  { store, providers, settings }: Pick<Dependencies, 'store' | 'providers' | 'settings'>,
  warm: Pick<WarmPool, 'status'>,
  figures: PoolFigures,
): PoolService {
  return {
    async overview() {
      const awake = await store.read.sandboxes({ hostId: settings.hostId, statuses: slotHolding });
      const { wanted, making, held } = warm.status();
      return {
        provider: providers.first.name,
        providers: [...providers.names],
        slots: settings.slots,
        used: awake.filter(({ sessionId }) => sessionId !== null).length,
        waiting: (await store.read.queuedTurns()).length,
        warm: { wanted, ready: awake.filter(isWarm).length, making, held },
        claims: { warm: figures.warmClaims, cold: figures.coldStarts },
        evictions: figures.evictions,
        sandboxes: Object.fromEntries(await store.read.sandboxCounts()),
        estimate: estimateError(await store.read.latestClaimedTurns(measuredTurns)),
      };
    },
  };
}
