import type { BerthError } from '../../protocol/errors.ts';
import { serverActor } from '../audit/actor.ts';
import type { RunnerClient } from '../ports/runner.ts';
import { endTurn } from '../turns/end-turn.ts';
import { activeTurnStates } from '../turns/turn-states.ts';
import { nowOf, type SandboxesContext } from './context.ts';

const cancelTimeoutMs = 15_000;

/**
 * A sandbox's runner writes what no journal of ours holds: its word is worth nothing from here, so the turn that runs
 * ends with that as its failure. The agent is asked to stop; one that does not is frozen by the idle policy, as nothing
 * uses its sandbox. The next turn looks again. Never rejects.
 */
export async function refuseJournal(
  { deps, events, closing }: SandboxesContext,
  { sessionId, sandboxId, runner }: { sessionId: string; sandboxId: string; runner: RunnerClient },
  { code, message }: BerthError,
): Promise<void> {
  deps.logger.warn({ sessionId, sandboxId, code, reason: message }, 'journal refused');
  try {
    const ended = await deps.store.transaction(async (tx) => {
      if ((await tx.session(sessionId)) === null) return [];
      const at = nowOf({ deps });
      const turns = await tx.turns(sessionId, activeTurnStates);
      for (const { id } of turns) await endTurn(tx, id, 'failed', { code, message }, at);
      await tx.appendAudit([
        { at, actor: serverActor, action: 'journal.refused', target: sandboxId, sessionId, detail: { reason: message } },
      ]);
      return turns.map(({ id }) => id);
    });
    for (const turnId of ended) events.onTurnEnded(turnId);
    await runner.cancelTurn(sessionId, null, AbortSignal.any([closing, AbortSignal.timeout(cancelTimeoutMs)]));
  } catch (error) {
    deps.logger.warn({ sessionId, err: error }, 'after its journal was refused a session could not be told of it');
  }
}
