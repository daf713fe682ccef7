import { asBerthError } from '../../protocol/errors.ts';
import { actorOf } from '../audit/actor.ts';
import type { Dependencies } from '../dependencies.ts';
import type { TurnRecord } from '../ports/store.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';
import type { Dispatcher } from './dispatcher.ts';
import { endTurn } from './end-turn.ts';
import { openTurnStates } from './turn-states.ts';

const callTimeoutMs = 60_000;

/**
 * Cancels a session's open turns, or the one that is named, at whatever stage: one that waits, for a slot or after a failure,
 * ends at once; one that is being started is given up by its driver; one that runs is ended by its runner. Resolves to the one
 * that had left the queue. No-op for turns that have ended.
 */
export async function cancelTurns(
  deps: Pick<Dependencies, 'store' | 'clock'>,
  sandboxes: Pick<SessionSandboxes, 'use'>,
  dispatcher: Pick<Dispatcher, 'wake' | 'abort'>,
  { sessionId, turnId: only = null, by }: { sessionId: string; turnId?: string | null; by: string },
): Promise<TurnRecord | null> {
  const active = await deps.store.transaction(async (tx) => {
    const at = deps.clock.now().toISOString();
    let found: TurnRecord | null = null;
    const ended: string[] = [];
    for (const turn of await tx.turns(sessionId, openTurnStates)) {
      if (only !== null && turn.id !== only) continue;
      ended.push(turn.id);
      if (turn.state === 'queued') await endTurn(tx, turn.id, 'cancelled', null, at);
      else found = turn;
    }
    if (found !== null) await tx.updateTurn(found.id, { cancelRequestedAt: at });
    if (ended.length > 0) {
      const target = only ?? sessionId;
      await tx.appendAudit([{ at, actor: actorOf(by), action: 'turn.interrupted', target, sessionId, detail: { turns: ended } }]);
    }
    return found;
  });
  dispatcher.wake();
  if (active?.state === 'starting') dispatcher.abort(active.id);
  if (active?.state === 'running') {
    // Woken when it sleeps over a question: only its runner can end the turn. Without a slot for that the wish is kept.
    const signal = AbortSignal.timeout(callTimeoutMs);
    await sandboxes
      .use(sessionId, signal, ({ runner }) => runner.cancelTurn(sessionId, active.id, signal))
      .catch((cause: unknown) => {
        if (asBerthError(cause).context['reason'] !== 'no_slot') throw cause;
      });
  }
  return active;
}
