import type { Dependencies } from '../dependencies.ts';
import type { TurnRecord } from '../ports/store.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';
import { claimTurn } from './claim-turn.ts';
import { driveTurn } from './turn-driver.ts';
import { activeTurnStates } from './turn-states.ts';

/**
 * Takes queued turns in order and sets a driver on each that has a slot. A session runs one turn at
 * a time; a turn whose sandbox runs already needs no new slot. Claiming a turn and reserving its
 * slot are one transaction.
 */
export interface Dispatcher {
  /** Something may have changed: look at the queue. Cheap, and safe to call at any time. */
  wake(): void;
  /** Drives again what an earlier process left in `starting` or `running`. */
  resume(): Promise<void>;
  /** Ends the driver of a turn that is being started. */
  abort(turnId: string): void;
  /** Drivers let go; their turns stay as they are for the next start. */
  close(): Promise<void>;
}

export function createDispatcher(deps: Dependencies, sandboxes: SessionSandboxes): Dispatcher {
  const drivers = new Map<string, { controller: AbortController; done: Promise<void> }>();
  let running: Promise<void> | null = null;
  let again = false;
  let closed = false;

  async function dispatchAll(): Promise<void> {
    do {
      again = false;
      while (!closed) {
        const claim = await claimTurn(deps);
        if (claim.turn !== null) drive(claim.turn);
        else if (!claim.slotMissing || !(await sandboxes.evictOne())) break;
      }
    } while (again && !closed);
  }

  function drive(turn: TurnRecord): void {
    const controller = new AbortController();
    const done = driveTurn(deps, sandboxes, turn, controller.signal)
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
      for (const turn of await deps.store.read.turnsInState(activeTurnStates)) drive(turn);
    },
    abort: (turnId) => drivers.get(turnId)?.controller.abort(),
    async close() {
      closed = true;
      for (const { controller } of drivers.values()) controller.abort();
      await Promise.all([running, ...[...drivers.values()].map(({ done }) => done)]);
    },
  };
}
