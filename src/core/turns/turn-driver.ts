import { asBerthError, BerthError } from '../../protocol/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import type { RunnerClient } from '../ports/runner.ts';
import type { StoreTransaction, TurnRecord } from '../ports/store.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';
import { agentOf, agentSpecOf } from './agent-spec.ts';
import { endTurn } from './end-turn.ts';
import { retryDelayMs } from './retry-policy.ts';
import { markStarted } from './start-turn.ts';
import { hasEnded, settleSessionStatus } from './turn-states.ts';

const cancelTimeoutMs = 15_000;

/** Whether the runner may have the turn already: then it stays with its sandbox, whose agent may be at work. */
export interface HandOver {
  mayHaveIt: boolean;
}

/**
 * Brings a claimed turn to the runner: sandbox, workspace, agent, prompt. From then on the runner
 * owns it and its end comes through the journal. Each step may be repeated, so a turn that a crash
 * left in `starting` or `running` is simply driven again. Never rejects.
 *
 * A passing failure puts the turn back into the queue until its retry is due, so that others use the slot
 * meanwhile; but one that the runner may have is tried again where it is. A lasting failure, or one too many,
 * ends the turn (`dead-letters.ts`).
 */
export async function driveTurn(
  deps: Dependencies,
  sandboxes: SessionSandboxes,
  turn: TurnRecord,
  handedOver: HandOver,
  signal: AbortSignal,
): Promise<void> {
  for (let failuresHere = 1; ; failuresHere += 1) {
    try {
      await sandboxes.use(turn.sessionId, signal, () => handOver(deps, sandboxes, turn, handedOver, signal));
      return;
    } catch (cause) {
      if (signal.aborted) {
        await afterAbort(deps, sandboxes, turn);
        return;
      }
      deps.logger.warn({ turnId: turn.id, code: asBerthError(cause).code, err: cause }, 'turn could not be started');
      const failure = { error: asBerthError(cause), failuresHere, mayHaveIt: handedOver.mayHaveIt };
      const delayMs = await deps.store.transaction((tx) => afterFailure(tx, deps, turn.id, failure));
      if (delayMs === null) return;
      await deps.clock.sleep(delayMs, signal).catch(() => {});
      if (signal.aborted) {
        await afterAbort(deps, sandboxes, turn);
        return;
      }
      if (hasEnded((await deps.store.read.turn(turn.id))?.state ?? 'failed')) return;
    }
  }
}

/** Decides what becomes of a turn that could not be started; the wait before this driver tries it again, or `null`. */
async function afterFailure(
  tx: StoreTransaction,
  deps: Pick<Dependencies, 'clock' | 'settings'>,
  turnId: string,
  { error, failuresHere, mayHaveIt }: HandOver & { error: BerthError; failuresHere: number },
): Promise<number | null> {
  const turn = await tx.turn(turnId);
  if (turn === null || hasEnded(turn.state)) return null;
  const now = deps.clock.now();
  const at = now.toISOString();
  const reason = { code: error.code, message: error.message };
  const stays = mayHaveIt || turn.state !== 'starting';
  // One that stays may have been taken up by many servers, each of which ended for its own reasons: only what failed
  // here counts.
  const attempts = stays ? failuresHere : turn.attempts;
  const delayMs = retryDelayMs(deps.settings.queue.retries[error.code], attempts, Math.random());
  if (delayMs === null) {
    await endTurn(tx, turnId, 'failed', reason, at);
    return null;
  }
  if (stays) {
    await tx.updateTurn(turnId, { attempts: turn.attempts + 1 });
    return delayMs;
  }
  if (turn.cancelRequestedAt !== null) {
    await endTurn(tx, turnId, 'cancelled', null, at);
    return null;
  }
  await tx.updateTurn(turnId, { state: 'queued', retryAt: new Date(now.getTime() + delayMs).toISOString() });
  const message = `${error.message}; trying again in ${Math.ceil(delayMs / 1000)} s`;
  await tx.appendEvents(turn.sessionId, [
    { at, turnId, type: 'progress', data: { stage: 'retry', message, fraction: null } },
  ]);
  await settleSessionStatus(tx, turn.sessionId, at, error.message);
  return null;
}

async function handOver(
  deps: Dependencies,
  sandboxes: SessionSandboxes,
  turn: TurnRecord,
  handedOver: HandOver,
  signal: AbortSignal,
): Promise<void> {
  const connection = await sandboxes.ensure(turn.sessionId, signal);
  const session = await deps.store.read.session(turn.sessionId);
  if (session === null) throw new BerthError('not_found', `there is no session ${turn.sessionId}`);
  const agent = agentOf(deps, session);
  const say = lineReporter(deps, session.id, turn.id);
  const layerPath = await deps.installer.ensure(agent, say, signal);
  await connection.runner.ensureAgentSession(session.id, agentSpecOf(deps, session, agent, layerPath), signal);
  connection.follow();

  const current = await deps.store.read.turn(turn.id);
  if (current === null || hasEnded(current.state)) return;
  signal.throwIfAborted();
  handedOver.mayHaveIt = true;
  await startTurn(connection.runner, turn, signal);
  await deps.store.transaction(async (tx) => {
    const latest = await tx.turn(turn.id);
    if (latest === null || hasEnded(latest.state) || latest.state === 'running') return;
    const at = deps.clock.now().toISOString();
    await markStarted(tx, latest, at);
    await settleSessionStatus(tx, session.id, at);
  });
  const afterwards = await deps.store.read.turn(turn.id);
  if (afterwards !== null && afterwards.cancelRequestedAt !== null && !hasEnded(afterwards.state)) {
    await connection.runner.cancelTurn(session.id, turn.id, signal);
  }
}

/** An interrupt ends the turn; a closing server leaves it for the next start. */
async function afterAbort(deps: Dependencies, sandboxes: SessionSandboxes, turn: TurnRecord): Promise<void> {
  const now = deps.clock.now().toISOString();
  const ended = await deps.store.transaction(async (tx) => {
    const latest = await tx.turn(turn.id);
    if (latest?.cancelRequestedAt == null || latest.state !== 'starting') return false;
    return endTurn(tx, turn.id, 'cancelled', null, now);
  });
  // The runner may have got it just before.
  if (ended)
    await sandboxes
      .connected(turn.sessionId)
      ?.runner.cancelTurn(turn.sessionId, turn.id, AbortSignal.timeout(cancelTimeoutMs));
}

/** Hands a turn over; one that the server has ended but the runner still works at is ended there first. */
async function startTurn(runner: RunnerClient, turn: TurnRecord, signal: AbortSignal): Promise<void> {
  try {
    await runner.startTurn(turn.sessionId, { turnId: turn.id, prompt: turn.prompt }, signal);
  } catch (cause) {
    if (asBerthError(cause).code !== 'conflict') throw cause;
    await runner.cancelTurn(turn.sessionId, null, signal);
    throw new BerthError('unavailable', 'the agent is still busy with an earlier turn', { cause });
  }
}

/** Writes one progress event per line, at most a few a second, in order. */
function lineReporter(deps: Dependencies, sessionId: string, turnId: string): (message: string) => void {
  let last = '';
  let tail: Promise<unknown> = Promise.resolve();
  return (message) => {
    if (message === last) return;
    last = message;
    const at = deps.clock.now().toISOString();
    tail = tail
      .then(() =>
        deps.store.transaction((tx) =>
          tx.appendEvents(sessionId, [
            { at, turnId, type: 'progress', data: { stage: 'agent', message, fraction: null } },
          ]),
        ),
      )
      .catch((error: unknown) => deps.logger.debug({ sessionId, err: error }, 'progress was not stored'));
  };
}
