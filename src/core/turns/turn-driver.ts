import { asBerthError, BerthError } from '../../protocol/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import type { RunnerClient } from '../ports/runner.ts';
import type { TurnRecord } from '../ports/store.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';
import { agentOf, agentSpecOf } from './agent-spec.ts';
import { endTurn } from './end-turn.ts';
import { hasEnded, settleSessionStatus } from './turn-states.ts';

const retryBaseMs = 500;
const retryMaxMs = 15_000;
const cancelTimeoutMs = 15_000;

/**
 * Brings a claimed turn to the runner: sandbox, workspace, agent, prompt. From then on the runner
 * owns it and its end comes through the journal. Each step may be repeated, so a turn that a crash
 * left in `starting` or `running` is simply driven again. Never rejects.
 */
export async function driveTurn(
  deps: Dependencies,
  sandboxes: SessionSandboxes,
  turn: TurnRecord,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await deps.store.transaction((tx) => tx.updateTurn(turn.id, { attempts: turn.attempts + attempt }));
      await sandboxes.use(turn.sessionId, signal, () => handOver(deps, sandboxes, turn, signal));
      return;
    } catch (cause) {
      const now = deps.clock.now().toISOString();
      if (signal.aborted) {
        await afterAbort(deps, sandboxes, turn, now);
        return;
      }
      const error = asBerthError(cause);
      deps.logger.warn({ turnId: turn.id, attempt, code: error.code, err: cause }, 'turn could not be started');
      if (!error.retryable || attempt >= deps.settings.turnAttempts) {
        await deps.store.transaction((tx) =>
          endTurn(tx, turn.id, 'failed', { code: error.code, message: error.message }, now),
        );
        return;
      }
      const delayMs = Math.min(retryBaseMs * 2 ** (attempt - 1), retryMaxMs) * (0.5 + Math.random() / 2);
      await deps.clock.sleep(delayMs, signal).catch(() => {});
      if (hasEnded((await deps.store.read.turn(turn.id))?.state ?? 'failed')) return;
    }
  }
}

async function handOver(
  deps: Dependencies,
  sandboxes: SessionSandboxes,
  turn: TurnRecord,
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
  await startTurn(connection.runner, turn, signal);
  await deps.store.transaction(async (tx) => {
    const latest = await tx.turn(turn.id);
    if (latest === null || hasEnded(latest.state) || latest.state === 'running') return;
    const at = deps.clock.now().toISOString();
    await tx.updateTurn(turn.id, { state: 'running', startedAt: latest.startedAt ?? at });
    await settleSessionStatus(tx, session.id, at);
  });
  const afterwards = await deps.store.read.turn(turn.id);
  if (afterwards !== null && afterwards.cancelRequestedAt !== null && !hasEnded(afterwards.state)) {
    await connection.runner.cancelTurn(session.id, turn.id, signal);
  }
}

/** An interrupt ends the turn; a closing server leaves it for the next start. */
async function afterAbort(
  deps: Dependencies,
  sandboxes: SessionSandboxes,
  turn: TurnRecord,
  now: string,
): Promise<void> {
  const ended = await deps.store.transaction(async (tx) => {
    const latest = await tx.turn(turn.id);
    if (latest?.cancelRequestedAt == null || latest.state !== 'starting') return false;
    return endTurn(tx, turn.id, 'cancelled', null, now);
  });
  // The runner may have got it just before.
  if (ended) await sandboxes.connected(turn.sessionId)?.runner.cancelTurn(turn.sessionId, turn.id, AbortSignal.timeout(cancelTimeoutMs));
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
