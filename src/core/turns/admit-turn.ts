import type { CreateTurnRequest, Priority } from '../../protocol/api.ts';
import type { Prompt } from '../../protocol/content.ts';
import { BerthError } from '../../protocol/errors.ts';
import { maxJournalLineBytes } from '../../protocol/runner-api.ts';
import { newId } from '../../protocol/ids.ts';
import { actorOf } from '../audit/actor.ts';
import type { Dependencies } from '../dependencies.ts';
import type { QueueTurn, SessionRecord, StoreTransaction, TurnRecord } from '../ports/store.ts';
import { allowedPriority } from '../quotas/check-quotas.ts';
import { toWaitSeconds } from './admission.ts';
import { noWait } from './queue-projection.ts';
import { viewQueue } from './queue-view.ts';
import { priorities, settleSessionStatus } from './turn-states.ts';

/**
 * Puts a prompt into its session's queue and its log, with what its caller is told about the wait; that is kept, so
 * that it can be compared with the wait that comes. The same idempotency key gives the same turn; `conflict`
 * when it came with another prompt, `resource_exhausted` when the session's log is full. `within` runs in the transaction that admits the turn.
 */
export async function admitTurn(
  deps: Pick<Dependencies, 'store' | 'clock' | 'settings'>,
  sessionId: string,
  request: CreateTurnRequest,
  by: string,
  within?: (tx: StoreTransaction, turn: TurnRecord) => Promise<void>,
): Promise<TurnRecord> {
  const session = existing(await deps.store.read.session(sessionId), sessionId);
  const { quotas } = deps.settings;
  const level = await allowedPriority(deps.store.read, quotas, session, request.priority, defaultPriority(deps, by));
  const turn = newTurn(deps, session, request, by, level);
  const joining = queueTurnOf(turn, session);
  const place = (await viewQueue(deps, deps.store.read, joining)).places.get(turn.id) ?? noWait;

  return deps.store.transaction(async (tx) => {
    const { logBytes } = existing(await tx.session(sessionId), sessionId);
    if (turn.idempotencyKey !== null) {
      const earlier = await tx.turnByKey(sessionId, turn.idempotencyKey);
      if (earlier !== null) {
        if (JSON.stringify(earlier.prompt) === JSON.stringify(turn.prompt)) return earlier;
        throw new BerthError('conflict', 'this idempotency key was used with another prompt', {
          field: 'idempotencyKey',
        });
      }
    }
    if (logBytes + maxJournalLineBytes > deps.settings.logLimits.bytesPerSession) {
      throw new BerthError('resource_exhausted', 'the log of this session is full; fork the session to go on', {
        context: { logBytes, maxLogBytes: deps.settings.logLimits.bytesPerSession },
      });
    }
    const admitted: TurnRecord = { ...turn, estimatedWaitMs: Math.round(place.waitMs), queuePosition: place.position };
    await tx.insertTurn(admitted);
    await tx.updateSession(sessionId, { archivedAt: null, lastUsedAt: turn.createdAt });
    await tx.appendEvents(sessionId, [
      {
        at: turn.createdAt,
        turnId: turn.id,
        type: 'turn.queued',
        data: { prompt: turn.prompt, by, position: place.position, estimatedWaitSeconds: toWaitSeconds(place.waitMs) },
      },
    ]);
    await settleSessionStatus(tx, sessionId, turn.createdAt);
    await tx.appendAudit([
      {
        at: turn.createdAt,
        actor: actorOf(by),
        action: 'prompt.sent',
        target: turn.id,
        sessionId,
        detail: { priority: turn.priority, characters: JSON.stringify(turn.prompt).length },
      },
    ]);
    await within?.(tx, admitted);
    return admitted;
  });
}

function newTurn(
  deps: Pick<Dependencies, 'clock'>,
  session: SessionRecord,
  request: CreateTurnRequest,
  by: string,
  priority: Priority,
): TurnRecord {
  return {
    id: newId('turn'),
    sessionId: session.id,
    idempotencyKey: request.idempotencyKey ?? null,
    state: 'queued',
    prompt: toPrompt(request.prompt),
    by,
    priority: priorities[priority],
    webhookUrl: request.webhookOnReady ?? null,
    webhookEvents: request.webhookEvents ?? ['turn.started'],
    cancelRequestedAt: null,
    attempts: 0,
    retryAt: null,
    claimedAt: null,
    hostId: null,
    estimatedWaitMs: null,
    queuePosition: null,
    stopReason: null,
    usage: null,
    error: null,
    createdAt: deps.clock.now().toISOString(),
    startedAt: null,
    endedAt: null,
  };
}

function defaultPriority({ settings }: Pick<Dependencies, 'settings'>, user: string): Priority {
  const { userPriorities } = settings.queue;
  return Object.hasOwn(userPriorities, user) ? (userPriorities[user] ?? 'normal') : 'normal';
}

/** The turn as the queue will list it: behind all that are there. */
function queueTurnOf(turn: TurnRecord, { owner, team, agent, hostId }: SessionRecord): QueueTurn {
  return { ...turn, owner, team, agent, hostId, sandboxStatus: null, ordinal: Number.MAX_SAFE_INTEGER };
}

function existing(session: SessionRecord | null, id: string): SessionRecord {
  if (session === null || session.deletingAt !== null) {
    throw new BerthError('not_found', `there is no session ${id}`, { field: 'id' });
  }
  return session;
}

function toPrompt(input: CreateTurnRequest['prompt']): Prompt {
  return typeof input === 'string' ? [{ type: 'text', text: input }] : input;
}
