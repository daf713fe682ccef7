import { isBudgetQuestion } from '../../protocol/budget.ts';
import type { JournalEvent } from '../../protocol/events.ts';
import type { NewEvent, StoreTransaction } from '../ports/store.ts';
import { endTurnByRunner } from '../turns/end-turn.ts';
import { markStarted } from '../turns/start-turn.ts';
import { hasEnded, settleSessionStatus } from '../turns/turn-states.ts';

export interface ImportResult {
  /** Turns that ended with this batch. */
  endedTurnIds: string[];
}

/**
 * Takes a batch of journal entries into the session's log, with everything that follows from them
 * (turn states, open questions, the conversation's id), in the caller's one transaction. Entries at
 * or below the cursor are passed over, so a batch may be repeated after a crash without a double.
 */
export async function importJournal(
  tx: StoreTransaction,
  sessionId: string,
  journalId: string,
  batch: readonly JournalEvent[],
): Promise<ImportResult> {
  const session = await tx.session(sessionId);
  if (session === null) return { endedTurnIds: [] };
  const cursor = session.journalId === journalId ? session.journalSeq : 0;
  const endedTurnIds: string[] = [];
  const events: NewEvent[] = [];
  let at: string | null = null;
  let statusMayChange = false;

  for (const entry of batch) {
    if (entry.seq <= cursor) continue;
    const { seq, ...event } = entry;
    const taken = await applyEntry(tx, sessionId, entry);
    statusMayChange ||= taken.statusMayChange;
    if (taken.endedTurnId !== null) endedTurnIds.push(taken.endedTurnId);
    events.push({ ...(taken.keep ? event : superseded(entry)), journal: { id: journalId, seq } });
    at = entry.at;
  }

  if (at === null) return { endedTurnIds };
  await tx.appendEvents(sessionId, events);
  await tx.updateSession(sessionId, { updatedAt: at });
  if (statusMayChange) await settleSessionStatus(tx, sessionId, at);
  return { endedTurnIds };
}

/** Stands for an entry that the server's own word overtook: the log tells of it, and the cursor still moves. */
function superseded(entry: JournalEvent): NewEvent {
  const message = `the runner reports ${entry.type} of what is not its own, or has ended`;
  return { at: entry.at, turnId: entry.turnId, type: 'agent.log', data: { level: 'info', message } };
}

interface Applied {
  /** False: the entry no longer applies, and `superseded` takes its place. */
  keep: boolean;
  statusMayChange: boolean;
  endedTurnId: string | null;
}

const kept: Applied = { keep: true, statusMayChange: false, endedTurnId: null };

async function applyEntry(tx: StoreTransaction, sessionId: string, entry: JournalEvent): Promise<Applied> {
  switch (entry.type) {
    case 'agent.started':
      await tx.updateSession(sessionId, { acpSessionId: entry.data.acpSessionId });
      return kept;
    case 'agent.config':
      await tx.updateSession(sessionId, { modeId: entry.data.modeId });
      return kept;
    case 'turn.started':
      return applyTurnStarted(tx, sessionId, entry);
    case 'turn.ended':
      return applyTurnEnded(tx, sessionId, entry);
    case 'permission.requested':
      if (isBudgetQuestion(entry.data.requestId)) return { ...kept, keep: false };
      await tx.upsertPermission({
        sessionId,
        requestId: entry.data.requestId,
        turnId: entry.turnId,
        toolCall: entry.data.toolCall,
        options: entry.data.options,
        state: 'open',
        optionId: null,
        answeredBy: null,
        requestedAt: entry.at,
        expiresAt: entry.data.expiresAt,
        resolvedAt: null,
      });
      return { ...kept, statusMayChange: true };
    case 'permission.resolved': {
      // The server's own questions are none of the runner's.
      if (isBudgetQuestion(entry.data.requestId)) return { ...kept, keep: false };
      const asked = await tx.permission(sessionId, entry.data.requestId);
      if (asked !== null) {
        await tx.upsertPermission({
          ...asked,
          state: entry.data.outcome,
          optionId: entry.data.optionId,
          answeredBy: entry.data.by,
          resolvedAt: entry.at,
        });
      }
      return { ...kept, statusMayChange: true };
    }
    default:
      return kept;
  }
}

async function applyTurnStarted(tx: StoreTransaction, sessionId: string, entry: JournalEvent): Promise<Applied> {
  const turn = entry.turnId === null ? null : await tx.turn(entry.turnId);
  // A turn that the server ended meanwhile, or that is not of this session: the runner's word does not reopen it.
  if (turn === null || turn.sessionId !== sessionId || hasEnded(turn.state)) return { ...kept, keep: false };
  await markStarted(tx, turn, entry.at);
  return { ...kept, statusMayChange: true };
}

async function applyTurnEnded(
  tx: StoreTransaction,
  sessionId: string,
  entry: JournalEvent & { type: 'turn.ended' },
): Promise<Applied> {
  const turn = entry.turnId === null ? null : await tx.turn(entry.turnId);
  if (turn === null || turn.sessionId !== sessionId || hasEnded(turn.state)) return { ...kept, keep: false };
  await endTurnByRunner(tx, turn, { ...entry.data, at: entry.at });
  return { keep: true, statusMayChange: true, endedTurnId: turn.id };
}
