import type { SlotQuota } from '../../protocol/quota-subject.ts';
import type { Dependencies } from '../dependencies.ts';
import { anyHost } from '../ports/queue.ts';
import type { TurnRecord } from '../ports/store.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';
import { claimTurn, type Claim } from './claim-turn.ts';
import type { PositionAnnouncer } from './position-announcer.ts';
import { driveTurn } from './turn-driver.ts';
import { activeTurnStates } from './turn-states.ts';

/**
 * Takes queued turns in order (`queue-order.ts`) and sets a driver on each that has a slot. A session runs
 * one turn at a time. When no slot is free the longest idle sandbox gives up its own.
 */
export interface Dispatcher {
  /** Something may have changed here: look at the queue. Cheap, and safe to call at any time. */
  wake(): void;
  /** A turn came into the queue, of a session with a sandbox on this host or with none: who can take it is to look. Cheap. */
  announce(hostId: string | null): void;
  /** Looks for turns of this host that nothing drives, as after a time without the database. Cheap. */
  takeUp(): void;
  /**
   * Drives again what an earlier process left in `starting` or `running`, but for what sleeps over a question, which
   * the answer wakes; then takes turns.
   */
  start(): Promise<void>;
  /** Ends the driver of a turn that is being started. */
  abort(turnId: string): void;
  /** Drivers let go; their turns stay as they are for the next start. */
  close(): Promise<void>;
}

/** The queue is looked at this often whatever was announced: an announcement may be lost. Each server at its own time. */
const sweepMs = 30_000;
const afterErrorMs = 1_000;

/** Each writes a memory image or ends processes: more at once would only take turns on the disk. */
const maxEvictions = 3;

export function createDispatcher(
  deps: Dependencies,
  sandboxes: SessionSandboxes,
  positions: Pick<PositionAnnouncer, 'changed'>,
): Dispatcher {
  const { queue } = deps;
  const drivers = new Map<string, { controller: AbortController; done: Promise<void> }>();
  const closing = new AbortController();
  let running: Promise<void> | null = null;
  let sweeping: Promise<void> = Promise.resolve();
  let again = false;
  let full = false;
  let mayHaveLost = false;
  let lookedAtMs = 0;
  let evictions = 0;
  /** Quotas of which an idle sandbox is going. */
  const evictedFrom = new Set<string>();

  async function dispatchAll(): Promise<void> {
    let claim: Claim | null = null;
    let noSlot = false;
    lookedAtMs = deps.clock.now().getTime();
    if (mayHaveLost) await driveLost();
    do {
      again = false;
      while (!closing.signal.aborted) {
        claim = await claimTurn(deps);
        noSlot = claim.slotMissing;
        if (claim.turn === null && claim.slotMissing) {
          // Where one gives its slot up, whoever is first has it then, and nobody goes before.
          if ((await makeRoom(claim.slotsNeeded)) > 0) break;
          if (claim.mayPassOver) claim = await claimTurn(deps, { passOver: true });
        }
        if (claim.turn === null && !claim.slotMissing && claim.fullQuotas.length > 0) {
          if ((await makeRoomWithin(claim.fullQuotas)) > 0) break;
          if (claim.mayPassOver) claim = await claimTurn(deps, { passOver: true });
        }
        if (claim.turn === null) break;
        drive(claim.turn, false);
      }
    } while (again && !closing.signal.aborted);
    full = noSlot;
    if (!full) queue.hasRoom();
    if (claim !== null && claim.nextRetryAt !== null) queue.announce(deps.settings.hostId, claim.nextRetryAt);
    positions.changed();
  }

  /**
   * A claim whose commit was carried out though its connection broke, or a driver that could not write how it failed,
   * leaves a turn that nothing drives. Looked for here, between claims, so that no claim is under way.
   */
  async function driveLost(): Promise<void> {
    mayHaveLost = false;
    const driven = new Set(drivers.keys());
    for (const turn of await activeTurns()) {
      if (driven.has(turn.id) || drivers.has(turn.id)) continue;
      // One that runs is read from its sandbox's journal.
      if (turn.state === 'running' && sandboxes.connected(turn.sessionId) !== null) continue;
      deps.logger.warn({ turnId: turn.id, state: turn.state }, 'taking up a turn that nothing drove');
      drive(turn, true);
    }
  }

  /** What this host has claimed, but for what sleeps over a question, which the answer wakes. */
  async function activeTurns(): Promise<TurnRecord[]> {
    const { hostId } = deps.settings;
    const uses = await deps.store.read.sandboxUses({ hostId, statuses: ['paused', 'hibernated'] });
    const asleep = new Set(uses.filter((use) => use.work === 'asking').map((use) => use.sessionId));
    const turns = await deps.store.read.turnsInState(activeTurnStates, hostId);
    return turns.filter(({ sessionId }) => !asleep.has(sessionId));
  }

  /** Lets evictions go on beside what is claimed meanwhile; each end looks at the queue again. How many there are. */
  async function makeRoom(slotsNeeded: number): Promise<number> {
    while (evictions < Math.min(slotsNeeded, maxEvictions) && !closing.signal.aborted) {
      const eviction = await sandboxes.beginEviction();
      if (eviction === null) break;
      evictions += 1;
      void eviction.done.then(() => {
        evictions -= 1;
        wake();
      });
    }
    return evictions;
  }

  /** The same for those whose quota is full: each lets one of its own idle sandboxes go. How many are going. */
  async function makeRoomWithin(quotas: readonly SlotQuota[]): Promise<number> {
    for (const quota of quotas) {
      const key = `${quota.kind} ${quota.name}`;
      if (evictedFrom.has(key) || closing.signal.aborted) continue;
      const eviction = await sandboxes.beginEviction(quota);
      if (eviction === null) continue;
      evictedFrom.add(key);
      void eviction.done.then(() => {
        evictedFrom.delete(key);
        wake();
      });
    }
    return evictedFrom.size;
  }

  function drive(turn: TurnRecord, resumed: boolean): void {
    const controller = new AbortController();
    const done = driveTurn(deps, sandboxes, turn, { mayHaveIt: resumed }, controller.signal)
      .catch((error: unknown) => {
        deps.logger.error({ turnId: turn.id, err: error }, 'turn driver failed');
        takeUpSoon();
      })
      .finally(() => {
        drivers.delete(turn.id);
        wake();
      });
    drivers.set(turn.id, { controller, done });
  }

  function wake(): void {
    if (closing.signal.aborted) return;
    if (running !== null) {
      again = true;
      return;
    }
    running = dispatchAll()
      .catch((error: unknown) => {
        deps.logger.error({ err: error }, 'dispatching failed');
        takeUpSoon();
      })
      .finally(() => {
        running = null;
        if (again) wake();
      });
  }

  /** Looks, from now on, at the whole queue; resolves to whether there is room for more. */
  async function look(): Promise<boolean> {
    wake();
    while (running !== null) await running;
    return !full;
  }

  /** The database is away, most likely. */
  function takeUpSoon(): void {
    void deps.clock.sleep(afterErrorMs, closing.signal).then(takeUp, () => {});
  }

  function takeUp(): void {
    mayHaveLost = true;
    wake();
  }

  async function sweep(): Promise<void> {
    while (!closing.signal.aborted) {
      await deps.clock.sleep(sweepMs * (0.75 + Math.random() / 2), closing.signal).catch(() => {});
      if (deps.clock.now().getTime() - lookedAtMs < sweepMs / 2) continue;
      takeUp();
    }
  }

  return {
    wake,
    announce(hostId) {
      if (hostId === deps.settings.hostId) wake();
      else queue.announce(hostId ?? anyHost);
    },
    takeUp,
    async start() {
      for (const turn of await activeTurns()) {
        drive(turn, true);
      }
      await queue.listen(deps.settings.hostId, look);
      wake();
      sweeping = sweep();
    },
    abort: (turnId) => drivers.get(turnId)?.controller.abort(),
    async close() {
      closing.abort();
      for (const { controller } of drivers.values()) controller.abort();
      await Promise.all([running, sweeping, ...[...drivers.values()].map(({ done }) => done)]);
      await queue.close();
    },
  };
}
