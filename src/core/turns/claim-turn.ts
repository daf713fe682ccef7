import type { Dependencies } from '../dependencies.ts';
import type { QueueTurn, StoreTransaction, TurnRecord } from '../ports/store.ts';
import type { SlotQuota } from '../../protocol/quota-subject.ts';
import { readSlotQuotas, SlotCount } from '../quotas/slot-quotas.ts';
import { countsAgainst } from '../quotas/subjects.ts';
import { reserveSlot, slotHolding } from '../sandboxes/slots.ts';
import { createQueueOrder } from './queue-order.ts';
import { readQueue } from './queue-state.ts';
import { activeTurnStates, settleSessionStatus } from './turn-states.ts';

export interface Claim {
  turn: TurnRecord | null;
  /** The first in order found every slot taken. */
  slotMissing: boolean;
  /** How many sessions have a turn that may start and no slot. */
  slotsNeeded: number;
  /** Quotas that keep a turn waiting which is before others of the same user or team. */
  fullQuotas: readonly SlotQuota[];
  /** Turns wait whose sandbox holds a slot already: `passOver` may find one. */
  mayPassOver: boolean;
  /** When the next failed turn may be tried again, of those that were not due yet. */
  nextRetryAt: Date | null;
}

/**
 * Takes the queued turn that is next in order (`queue-order.ts`). Moving it to `starting` and reserving its slot are
 * one transaction, so that of several servers on one store exactly one gets each turn.
 *
 * Who has no room in a quota holds up nobody but those that count against it too: one of their idle sandboxes gives up
 * its slot, so that a session with much to do does not keep the whole quota.
 *
 * When the first has no slot nobody goes before it: a session with much to do must not keep its slot from
 * those that wait. `passOver` is for when no slot can be had for it: then those go whose sandbox holds a slot
 * already, since that takes nothing from anyone; others are not even tried, so that a long queue costs nothing.
 */
export async function claimTurn(
  deps: Pick<Dependencies, 'store' | 'clock' | 'settings'>,
  { passOver = false }: { passOver?: boolean } = {},
): Promise<Claim> {
  const nowMs = deps.clock.now().getTime();
  const policy = deps.settings.queue.order;
  // Read outside the transaction: that a turn comes in between makes no order wrong, and reading it inside would make
  // every claim collide with every arrival.
  const state = await readQueue(deps.store.read, policy, nowMs);
  const order = createQueueOrder(state.waiting, state.served, policy);
  const passed = new Set(state.active.map((turn) => turn.sessionId));
  const own = state.queued.filter(({ hostId }) => hostId === null || hostId === deps.settings.hostId);
  // A session with a sandbox is for the server of the host that it lives on.
  for (const { sessionId, hostId } of state.queued) {
    if (hostId !== null && hostId !== deps.settings.hostId) passed.add(sessionId);
  }
  const slotless = own.filter(
    ({ sandboxStatus }) => sandboxStatus === null || !slotHolding.includes(sandboxStatus),
  );
  if (passOver) for (const { sessionId } of slotless) passed.add(sessionId);
  const quotas = await readSlotQuotas(deps.store.read, deps.settings.quotas);
  const isLimited = !passOver && slotless.some((turn) => quotas.of(turn).length > 0);
  const held = isLimited ? await deps.store.read.slotHolders(slotHolding) : [];
  const count = new SlotCount(quotas, held);
  const waitsFor = new Map(slotless.map((turn) => [turn.sessionId, count.full(turn)]));
  const holders = new Map(own.map((turn) => [turn.sessionId, turn]));
  const fullQuotas: SlotQuota[] = [];
  const isPassed = (sessionId: string): boolean => {
    if (passed.has(sessionId)) return true;
    const holder = holders.get(sessionId);
    return holder !== undefined && fullQuotas.some((quota) => countsAgainst(quota, holder));
  };
  const due = slotless.filter(({ retryAt }) => retryAt === null || Date.parse(retryAt) <= nowMs);
  const found = {
    nextRetryAt: nextRetry(own, nowMs),
    mayPassOver: slotless.length < own.length,
    slotsNeeded: countNeeded(due, new SlotCount(quotas, held)),
    fullQuotas,
  };
  let slotMissing = passOver;
  for (;;) {
    const next = order.next(nowMs, isPassed);
    if (next === null) return { turn: null, slotMissing, ...found };
    const known = passOver ? null : (waitsFor.get(next.sessionId) ?? null);
    const result = known ?? await deps.store.transaction((tx) => tryClaim(tx, deps, next.id));
    if (typeof result === 'object' && 'slots' in result) {
      fullQuotas.push(result);
      passed.add(next.sessionId);
      continue;
    }
    if (typeof result === 'object') return { turn: result, slotMissing, ...found };
    if (result === 'no slot') {
      slotMissing = true;
      if (!passOver) return { turn: null, slotMissing, ...found };
    }
    passed.add(next.sessionId);
  }
}

/** For how many sessions there is room in their quotas. */
function countNeeded(due: readonly QueueTurn[], count: SlotCount): number {
  const sessions = new Map(due.map((turn) => [turn.sessionId, turn]));
  let needed = 0;
  for (const turn of sessions.values()) {
    if (count.full(turn) !== null) continue;
    count.add(turn, 1);
    needed += 1;
  }
  return needed;
}

function nextRetry(queued: readonly QueueTurn[], nowMs: number): Date | null {
  const dueMs = queued.map(({ retryAt }) => (retryAt === null ? 0 : Date.parse(retryAt))).filter((ms) => ms > nowMs);
  return dueMs.length === 0 ? null : new Date(Math.min(...dueMs));
}

/** The turn, or why not, the quota that is full among it; `taken`: something else happened to it or its session since it was looked at. */
async function tryClaim(
  tx: StoreTransaction,
  deps: Pick<Dependencies, 'clock' | 'settings'>,
  id: string,
): Promise<TurnRecord | SlotQuota | 'no slot' | 'taken'> {
  const turn = await tx.turn(id);
  if (turn === null || turn.state !== 'queued') return 'taken';
  const session = await tx.session(turn.sessionId);
  if (session === null || session.deletingAt !== null) return 'taken';
  if (session.hostId !== null && session.hostId !== deps.settings.hostId) return 'taken';
  if ((await tx.turns(session.id, activeTurnStates)).length > 0) return 'taken';
  const [oldest] = await tx.turns(session.id, ['queued']);
  if (oldest?.id !== id) return 'taken';
  const at = deps.clock.now().toISOString();
  const reservation = await reserveSlot(tx, session, deps.settings, at);
  if (!reservation.reserved) return reservation.quota ?? 'no slot';
  const change = {
    state: 'starting',
    attempts: turn.attempts + 1,
    claimedAt: at,
    hostId: deps.settings.hostId,
    retryAt: null,
    queuePosition: null,
  } as const;
  await tx.updateTurn(id, change);
  await tx.updateSession(session.id, { logBytesAtTurn: session.logBytes });
  await settleSessionStatus(tx, session.id, at);
  return { ...turn, ...change };
}
