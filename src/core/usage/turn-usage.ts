import type { StoreReads, StoreTransaction, TurnRecord } from '../ports/store.ts';

/** Counts a turn as begun, for its user and day. */
export async function countTurn(tx: StoreTransaction, turn: TurnRecord, at: string): Promise<void> {
  const session = await tx.session(turn.sessionId);
  if (session === null) return;
  const { id: turnId, sessionId } = turn;
  await tx.saveTurnUsage({ turnId, sessionId, owner: session.owner, day: at.slice(0, 10), activeMs: 0 });
}

/** Adds to a turn that ends how long it was at work. */
export async function countTurnTime(tx: StoreTransaction, turn: TurnRecord, at: string): Promise<void> {
  const session = await tx.session(turn.sessionId);
  if (session === null || turn.startedAt === null) return;
  const activeMs = await activeMsOf(tx, turn, new Date(at));
  const { id: turnId, sessionId, startedAt } = turn;
  await tx.saveTurnUsage({ turnId, sessionId, owner: session.owner, day: startedAt.slice(0, 10), activeMs });
}

/** How long a turn has been at work, without the time in which it waited for answers. */
export async function activeMsOf(reads: StoreReads, turn: TurnRecord, now: Date): Promise<number> {
  if (turn.startedAt === null) return 0;
  const startMs = Date.parse(turn.startedAt);
  const endMs = Math.max(startMs, now.getTime());
  let waitedMs = 0;
  let untilMs = startMs;
  for (const { requestedAt, resolvedAt } of await reads.permissionsOfTurn(turn.sessionId, turn.id)) {
    const fromMs = Math.max(untilMs, Date.parse(requestedAt));
    const toMs = Math.min(endMs, resolvedAt === null ? endMs : Date.parse(resolvedAt));
    if (toMs <= fromMs) continue;
    waitedMs += toMs - fromMs;
    untilMs = toMs;
  }
  return Math.max(0, endMs - startMs - waitedMs);
}
