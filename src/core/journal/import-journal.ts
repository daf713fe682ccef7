import { isBudgetQuestion } from '../../protocol/budget.ts';
import type { JournalEvent } from '../../protocol/events.ts';
import { sessionActor } from '../audit/actor.ts';
import type { Settings } from '../dependencies.ts';
import { maxOpenQuestions, type BatchGuard, type FloodGuard } from './flood-guard.ts';
import { answerByPolicy } from '../permissions/answer-by-policy.ts';
import type { JournalEntry } from '../ports/runner.ts';
import type { NewEvent, PermissionRecord, SessionRecord, StoreTransaction } from '../ports/store.ts';
import { answerDetail } from '../sessions/answer-detail.ts';
import { endTurnByRunner } from '../turns/end-turn.ts';
import { markStarted } from '../turns/start-turn.ts';
import { hasEnded, settleSessionStatus } from '../turns/turn-states.ts';

export interface ImportResult {
  /** Turns that ended with this batch. */
  endedTurnIds: string[];
  /** Whether rules have answered what the agent asks; the answer is kept, and waits to be brought to it. */
  hasAnswers: boolean;
  /** For `FloodGuard.stored`; `null`: there is no such session. */
  guard: BatchGuard['state'] | null;
}

export interface ImportOptions {
  settings: Pick<Settings, 'permissionPolicy'>;
  guard: FloodGuard;
  now: string;
}

/**
 * Takes a batch of journal entries into the session's log, with everything that follows from them
 * (turn states, open questions, the conversation's id), in the caller's one transaction. Entries at
 * or below the cursor are passed over, so a batch may be repeated after a crash without a double. Throws `upstream_failed`
 * for a journal that `guard` refuses.
 */
export async function importJournal(
  tx: StoreTransaction,
  sessionId: string,
  journalId: string,
  batch: readonly JournalEntry[],
  { settings, guard: guards, now }: ImportOptions,
): Promise<ImportResult> {
  const session = await tx.session(sessionId);
  if (session === null) return { endedTurnIds: [], hasAnswers: false, guard: null };
  const guard = guards.batch(session);
  const cursor = session.journalId === journalId ? session.journalSeq : 0;
  const endedTurnIds: string[] = [];
  const events: NewEvent[] = [];
  let at: string | null = null;
  let statusMayChange = false;
  let hasAnswers = false;

  for (const written of batch) {
    const { seq } = written.event;
    if (seq <= cursor) continue;
    const entry = notLaterThan(written.event, now);
    const admission = guard.admit(written);
    if (!admission.kept) {
      if (admission.notice !== null) events.push({ ...leftOut(entry, admission.notice), journal: { id: journalId, seq } });
      at = entry.at;
      continue;
    }
    const taken = await applyEntry(tx, session, entry, settings);
    hasAnswers ||= taken.answeredBy !== undefined;
    statusMayChange ||= taken.statusMayChange;
    if (taken.endedTurnId !== null) endedTurnIds.push(taken.endedTurnId);
    events.push({ ...(taken.keep ? asTold(entry, taken.answeredBy) : superseded(entry)), journal: { id: journalId, seq } });
    at = entry.at;
  }

  if (at === null || events.length === 0) return { endedTurnIds, hasAnswers, guard: guard.state };
  await tx.appendEvents(sessionId, events);
  await tx.updateSession(sessionId, { updatedAt: at });
  if (statusMayChange) await settleSessionStatus(tx, sessionId, at);
  return { endedTurnIds, hasAnswers, guard: guard.state };
}

/** A sandbox's clock is its own affair: nothing of it happens after now. */
function notLaterThan(entry: JournalEvent, now: string): JournalEvent {
  return entry.at > now ? { ...entry, at: now } : entry;
}

/** Stands where the log is full; the cursor stays behind what follows until something is kept again. */
function leftOut(entry: JournalEvent, message: string): NewEvent {
  return { at: entry.at, turnId: entry.turnId, type: 'agent.log', data: { level: 'warn', message } };
}

/** Whether a request is answered already is this server's word, whatever the runner writes. */
function asTold(entry: JournalEvent, answeredBy: string | undefined): NewEvent {
  const { seq: _seq, ...event } = entry;
  if (event.type !== 'permission.requested') return event;
  const { answeredBy: _claimed, ...data } = event.data;
  return { ...event, data: { ...data, ...(answeredBy === undefined ? {} : { answeredBy }) } };
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
  /** The rule that answers the request which the entry is. */
  answeredBy?: string;
}

const kept: Applied = { keep: true, statusMayChange: false, endedTurnId: null };

async function applyEntry(
  tx: StoreTransaction,
  session: SessionRecord,
  entry: JournalEvent,
  settings: Pick<Settings, 'permissionPolicy'>,
): Promise<Applied> {
  const sessionId = session.id;
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
    case 'permission.requested': {
      if (isBudgetQuestion(entry.data.requestId)) return { ...kept, keep: false };
      if ((await tx.openPermissions(sessionId)).length >= maxOpenQuestions) return { ...kept, keep: false };
      const asked: PermissionRecord = {
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
      };
      const answer = await answerByPolicy(tx, session, asked, settings);
      await tx.upsertPermission({ ...asked, ...answer });
      const answeredBy = answer?.answeredBy ?? undefined;
      return { ...kept, statusMayChange: true, ...(answeredBy === undefined ? {} : { answeredBy }) };
    }
    case 'permission.resolved': {
      // The server's own questions are none of the runner's.
      if (isBudgetQuestion(entry.data.requestId)) return { ...kept, keep: false };
      const asked = await tx.permission(sessionId, entry.data.requestId);
      if (asked !== null) {
        await tellUnknownAnswer(tx, asked, entry);
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

/**
 * Answers that this server gave are in the audit log already. One that it did not give is the runner's word only: that a
 * question ended unanswered, or, from a runner that was taken over, that somebody said yes.
 */
async function tellUnknownAnswer(
  tx: StoreTransaction,
  asked: PermissionRecord,
  entry: JournalEvent & { type: 'permission.resolved' },
): Promise<void> {
  const { sessionId, requestId } = asked;
  const action = 'permission.answered';
  const given = await tx.audit({ sessionId, action, target: requestId, order: 'newest', limit: 1 });
  if (given.length > 0) return;
  const { outcome, optionId, by } = entry.data;
  const option = asked.options.find((each) => each.optionId === optionId) ?? null;
  const detail = { ...answerDetail(asked, option), outcome, claimedBy: by };
  await tx.appendAudit([{ at: entry.at, actor: sessionActor(sessionId), action, target: requestId, sessionId, detail }]);
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
