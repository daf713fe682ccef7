import { asBerthError, BerthError } from '../../protocol/errors.ts';
import type { SandboxRecord, SessionRecord } from '../ports/store.ts';
import { activeTurnStates, settleSessionStatus } from '../turns/turn-states.ts';
import type { Dependencies } from '../dependencies.ts';
import { openConnection, type Connection } from './connection.ts';
import { nowOf, operationTimeoutMs, type SandboxesContext } from './context.ts';
import type { Entry } from './entries.ts';
import type { BeginEviction } from './eviction.ts';
import { createLossCheck } from './loss.ts';
import { makeRun } from './make-run.ts';
import { refuseJournal } from './refused-journal.ts';
import { existingSession, findSandbox, sandboxOf } from './records.ts';
import { progressReporter, setSandboxStatus } from './settle.ts';
import { waitForSlot } from './slot-wait.ts';
import { prepareWorkspace } from './workspace.ts';

export type Ensure = (sessionId: string, signal: AbortSignal) => Promise<Connection>;

/** Makes a session's sandbox ready and connects to it; callers that come meanwhile share the work. */
export function createBringUp(context: SandboxesContext, beginEviction: BeginEviction): Ensure {
  const { deps, entries, events } = context;
  const checkLost = createLossCheck(context, ensure);

  async function ensure(sessionId: string, signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted();
    const entry = entries.of(sessionId);
    entry.lastUsedMs = deps.clock.now().getTime();
    if (entry.connection !== null) return entry.connection;
    // The work belongs to all who wait for it, so one caller's signal does not end it.
    entry.ensuring ??= entries
      .serialised(sessionId, () =>
        entry.connection === null ? bringUp(sessionId, entry) : Promise.resolve(entry.connection),
      )
      .finally(() => (entry.ensuring = null));
    return withSignal(entry.ensuring, signal);
  }

  async function bringUp(sessionId: string, entry: Entry): Promise<Connection> {
    const signal = AbortSignal.any([context.closing, entry.gone.signal, AbortSignal.timeout(operationTimeoutMs)]);
    await waitForSlot(context, sessionId, beginEviction, signal);
    let session = await existingSession(deps, sessionId);
    let sandbox = await requireSandbox(deps, session);
    const progress = progressReporter(deps, sessionId);
    try {
      const { isNew, wasWarm } = await makeRun(deps, session, sandbox, progress, signal);
      if (isNew) {
        // It may have been made on another provider than was planned.
        session = await existingSession(deps, sessionId);
        sandbox = await requireSandbox(deps, session);
      }
      if (isNew || wasWarm) events.onFirstSandbox(wasWarm ? 'warm' : 'cold');
      if (isNew && session.baseCommit !== null) session = await forgetDisk(context, session);
      const made = sandbox;
      const connection: Connection = openConnection(deps, {
        sessionId,
        sandbox: made,
        onTurnEnded: events.onTurnEnded,
        onAnswersKept: events.onAnswersKept,
        onLost: () => checkLost(sessionId, made),
        onRefused: (error) => refuseJournal(context, { sessionId, sandboxId: made.id, runner: connection.runner }, error),
      });
      try {
        await prepareWorkspace(deps, session, connection.runner, progress, signal);
      } catch (error) {
        await connection.close();
        throw error;
      }
      entry.connection = connection;
      // A turn that was asleep with its sandbox goes on, and so does its log.
      if ((await deps.store.read.turns(sessionId, activeTurnStates)).length > 0) connection.follow();
      return connection;
    } catch (cause) {
      await afterFailure(context, session, (await sandboxOf(deps, session)) ?? sandbox, cause);
      throw cause;
    }
  }

  return ensure;
}

async function requireSandbox(deps: Dependencies, session: SessionRecord): Promise<SandboxRecord> {
  const sandbox = await sandboxOf(deps, session);
  if (sandbox !== null) return sandbox;
  throw new BerthError('internal', `session ${session.id} has no sandbox after its slot was reserved`);
}

/** The disk a session had is gone: it starts over from its base, and its log says so. */
async function forgetDisk(context: SandboxesContext, session: SessionRecord): Promise<SessionRecord> {
  const { deps } = context;
  const message = 'the sandbox of this session was lost with its disk; starting again from the base commit';
  deps.logger.error({ sessionId: session.id }, message);
  await deps.store.transaction(async (tx) => {
    const at = nowOf(context);
    await tx.updateSession(session.id, { baseCommit: null, acpSessionId: null, forkAcpSessionId: null, updatedAt: at });
    await tx.appendEvents(session.id, [
      { at, turnId: null, type: 'progress', data: { stage: 'sandbox', message, fraction: null } },
    ]);
  });
  return existingSession(deps, session.id);
}

/** Gives the slot back: what exists is kept on disk, what was never made is forgotten. */
async function afterFailure(
  context: SandboxesContext,
  session: SessionRecord,
  sandbox: SandboxRecord,
  cause: unknown,
): Promise<void> {
  const { deps } = context;
  const reason = asBerthError(cause).message;
  deps.logger.warn({ sessionId: session.id, sandboxId: sandbox.id, err: cause }, 'sandbox could not be made ready');
  if (context.closing.aborted) return;
  try {
    const signal = AbortSignal.timeout(operationTimeoutMs);
    const found = await findSandbox(deps, sandbox, signal);
    if (found === null) {
      await deps.store.transaction(async (tx) => {
        await tx.deleteSandbox(sandbox.id);
        await tx.updateSession(session.id, { sandboxId: null, updatedAt: nowOf(context) });
        await settleSessionStatus(tx, session.id, nowOf(context), reason);
      });
    } else {
      await deps.providers.of(sandbox.provider).stop(sandbox.id, { signal });
      await setSandboxStatus(deps, session.id, sandbox.id, 'stopped', reason);
    }
    context.events.onSlotFreed();
  } catch (error) {
    deps.logger.error({ sandboxId: sandbox.id, err: error }, 'a failed sandbox could not be put away');
  }
}

function withSignal<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new BerthError('cancelled', 'the wait for the sandbox was cancelled'));
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
