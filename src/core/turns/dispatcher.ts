import type { Dependencies } from '../dependencies.ts';
import type { TurnRecord } from '../ports/store.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';
import { claimTurn } from './claim-turn.ts';
import type { PositionAnnouncer } from './position-announcer.ts';
import { driveTurn } from './turn-driver.ts';
import { activeTurnStates } from './turn-states.ts';

/**
 * Takes queued turns in order (`queue-order.ts`) and sets a driver on each that has a slot. A session runs
 * one turn at a time. When no slot is free the longest idle sandbox gives up its own.
 */
export interface Dispatcher {
  /** Something may have changed: look at the queue. Cheap, and safe to call at any time. */
  wake(): void;
  /** Drives again what an earlier process left in `starting` or `running`, but for what sleeps over a question: the answer wakes that. */
  resume(): Promise<void>;
  /** Ends the driver of a turn that is being started. */
  abort(turnId: string): void;
  /** Drivers let go; their turns stay as they are for the next start. */
  close(): Promise<void>;
}

export function createDispatcher(
  deps: Dependencies,
  sandboxes: SessionSandboxes,
  positions: Pick<PositionAnnouncer, 'changed'>,
): Dispatcher {
  const drivers = new Map<string, { controller: AbortController; done: Promise<void> }>();
  let running: Promise<void> | null = null;
  let again = false;
  let retry = new AbortController();
  let closed = false;

  async function dispatchAll(): Promise<void> {
    let lookedAtMs = 0;
    do {
      again = false;
      while (!closed) {
        lookedAtMs = deps.clock.now().getTime();
        let claim = await claimTurn(deps);
        if (claim.turn === null && claim.slotMissing) {
          if (await sandboxes.evictOne()) continue;
          claim = await claimTurn(deps, { passOver: true });
        }
        if (claim.turn === null) break;
        drive(claim.turn, false);
      }
    } while (again && !closed);
    positions.changed();
    await wakeForRetry(lookedAtMs);
  }

  /** Looks at the queue again when the next failed turn may be tried, of those that were not due at the last look. */
  async function wakeForRetry(lookedAtMs: number): Promise<void> {
    const dueMs = (await deps.store.read.queuedTurns())
      .map((turn) => (turn.retryAt === null ? 0 : Date.parse(turn.retryAt)))
      .filter((ms) => ms > lookedAtMs);
    retry.abort();
    retry = new AbortController();
    if (dueMs.length === 0 || closed) return;
    void deps.clock
      .sleep(Math.max(0, Math.min(...dueMs) - deps.clock.now().getTime()), retry.signal)
      .then(wake, () => {});
  }

  function drive(turn: TurnRecord, resumed: boolean): void {
    const controller = new AbortController();
    const done = driveTurn(deps, sandboxes, turn, { mayHaveIt: resumed }, controller.signal)
      .catch((error: unknown) => deps.logger.error({ turnId: turn.id, err: error }, 'turn driver failed'))
      .finally(() => {
        drivers.delete(turn.id);
        wake();
      });
    drivers.set(turn.id, { controller, done });
  }

  function wake(): void {
    if (closed) return;
    if (running !== null) {
      again = true;
      return;
    }
    running = dispatchAll()
      .catch((error: unknown) => deps.logger.error({ err: error }, 'dispatching failed'))
      .finally(() => {
        running = null;
        if (again) wake();
      });
  }

  return {
    wake,
    async resume() {
      const uses = await deps.store.read.sandboxUses({ statuses: ['paused', 'hibernated'] });
      const asleep = new Set(uses.filter((use) => use.work === 'asking').map((use) => use.sessionId));
      for (const turn of await deps.store.read.turnsInState(activeTurnStates)) {
        if (!asleep.has(turn.sessionId)) drive(turn, true);
      }
    },
    abort: (turnId) => drivers.get(turnId)?.controller.abort(),
    async close() {
      closed = true;
      retry.abort();
      for (const { controller } of drivers.values()) controller.abort();
      await Promise.all([running, ...[...drivers.values()].map(({ done }) => done)]);
    },
  };
}
