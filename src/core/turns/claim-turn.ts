import type { Dependencies } from '../dependencies.ts';
import type { StoreTransaction, TurnRecord } from '../ports/store.ts';
import { reserveSlot, slotHolding } from '../sandboxes/slots.ts';
import { createQueueOrder } from './queue-order.ts';
import { readQueue } from './queue-state.ts';
import { activeTurnStates, settleSessionStatus } from './turn-states.ts';

export interface Claim {
  turn: TurnRecord | null;
  /** The first in order found every slot taken. */
  slotMissing: boolean;
}

/**
 * Takes the queued turn that is next in order (`queue-order.ts`). Moving it to `starting` and reserving its slot are
 * one transaction, so that of several servers on one store exactly one gets each turn.
 *
 * When the first has no slot nobody goes before it: a session with much to do must not keep its slot from
 * those that wait. `passOver` is for when no slot can be had for it: then those go whose sandbox runs already,
 * since that takes nothing from anyone.
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
  const mayStart = passOver ? await slotHolders(deps) : null;
  let slotMissing = false;
  for (;;) {
    const next = order.next(nowMs, (id) => passed.has(id) || mayStart?.has(id) === false);
    if (next === null) return { turn: null, slotMissing };
    const result = await deps.store.transaction((tx) => tryClaim(tx, deps, next.id));
    if (typeof result === 'object') return { turn: result, slotMissing };
    if (result === 'no slot') {
      slotMissing = true;
      if (!passOver) return { turn: null, slotMissing };
    }
    passed.add(next.sessionId);
  }
}

/** Sessions whose sandbox has a slot: looked up at once, for the queue may be long. */
async function slotHolders(deps: Pick<Dependencies, 'store'>): Promise<Set<string | null>> {
  const awake = await deps.store.read.sandboxes({ statuses: slotHolding });
  return new Set(awake.map(({ sessionId }) => sessionId));
}

/** The turn, or why not; `taken`: something else happened to it or its session since it was looked at. */
async function tryClaim(
  tx: StoreTransaction,
  deps: Pick<Dependencies, 'clock' | 'settings'>,
  id: string,
): Promise<TurnRecord | 'no slot' | 'taken'> {
  const turn = await tx.turn(id);
  if (turn === null || turn.state !== 'queued') return 'taken';
  const session = await tx.session(turn.sessionId);
  if (session === null || session.deletingAt !== null) return 'taken';
  if ((await tx.turns(session.id, activeTurnStates)).length > 0) return 'taken';
  const [oldest] = await tx.turns(session.id, ['queued']);
  if (oldest?.id !== id) return 'taken';
  const at = deps.clock.now().toISOString();
  if (!(await reserveSlot(tx, session, deps.settings, at))) return 'no slot';
  const change = {
    state: 'starting',
    attempts: turn.attempts + 1,
    claimedAt: at,
    retryAt: null,
    queuePosition: null,
  } as const;
  await tx.updateTurn(id, change);
  await settleSessionStatus(tx, session.id, at);
  return { ...turn, ...change };
}
