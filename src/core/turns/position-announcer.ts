import type { Dependencies } from '../dependencies.ts';
import type { QueueTurn, StoreTransaction } from '../ports/store.ts';
import { toWaitSeconds } from './admission.ts';
import { noWait, type Place } from './queue-projection.ts';
import { viewQueue } from './queue-view.ts';

/** Writes into the sessions' logs how their waiting turns move, so that every reader of a log sees it. */
export interface PositionAnnouncer {
  /** The queue has changed. What follows within a second is told together. */
  changed(): void;
  close(): Promise<void>;
}

const intervalMs = 1000;
/** From here on a turn is told of each step. */
const nearPosition = 10;
/** Further back, of each tenth: else a queue of a thousand would write half a million events to empty itself. */
const farStep = 0.1;

export function createPositionAnnouncer(
  deps: Pick<Dependencies, 'store' | 'clock' | 'logger' | 'settings'>,
): PositionAnnouncer {
  const closing = new AbortController();
  let pending = false;
  let running: Promise<void> | null = null;

  async function announceAll(): Promise<void> {
    while (pending && !closing.signal.aborted) {
      pending = false;
      await announce().catch((error: unknown) => deps.logger.error({ err: error }, 'queue positions were not told'));
      await deps.clock.sleep(intervalMs, closing.signal).catch(() => {});
    }
  }

  async function announce(): Promise<void> {
    if ((await deps.store.read.queuedTurns()).length === 0) return;
    const { state, places } = await viewQueue(deps, deps.store.read);
    const moved = state.queued.filter((turn) => isWorthTelling(turn.queuePosition, places.get(turn.id)?.position ?? 0));
    if (moved.length === 0) return;
    const at = deps.clock.now().toISOString();
    await deps.store.transaction(async (tx) => {
      for (const turn of moved) await tell(tx, turn, places.get(turn.id) ?? noWait, at);
    });
  }

  return {
    changed() {
      pending = true;
      running ??= announceAll().finally(() => {
        running = null;
        if (pending && !closing.signal.aborted) this.changed();
      });
    },
    async close() {
      closing.abort();
      await running;
    },
  };
}

async function tell(tx: StoreTransaction, { id, sessionId }: QueueTurn, place: Place, at: string): Promise<void> {
  const latest = await tx.turn(id);
  if (latest === null || latest.state !== 'queued' || latest.queuePosition === place.position) return;
  await tx.updateTurn(id, { queuePosition: place.position });
  await tx.appendEvents(sessionId, [
    {
      at,
      turnId: id,
      type: 'turn.position',
      data: { position: place.position, estimatedWaitSeconds: toWaitSeconds(place.waitMs) },
    },
  ]);
}

function isWorthTelling(told: number | null, position: number): boolean {
  // At 0 a slot is being made ready for it: its start tells so a moment later.
  if (told === position || position === 0) return false;
  if (told === null || position <= nearPosition) return true;
  return Math.abs(told - position) >= told * farStep;
}
