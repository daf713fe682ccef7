import { asBerthError, BerthError } from '../../protocol/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import type { SandboxInfo, SandboxSpec } from '../ports/sandbox-provider.ts';
import type { SandboxRecord, SessionRecord } from '../ports/store.ts';
import { activeTurnStates, settleSessionStatus } from '../turns/turn-states.ts';
import { proxyEnv } from '../egress/proxy-env.ts';
import { dueStep, isAwake, restingStep, type RestStep } from './idle-policy.ts';
import { openConnection, type Connection } from './connection.ts';
import { reserveSlot } from './slots.ts';
import { prepareWorkspace, type Progress } from './workspace.ts';

/**
 * The sandboxes of sessions: made on first need, started again when stopped, stopped when their slot
 * is needed or nobody used them for long. One operation at a time per session; callers that come
 * while it runs share it.
 */
export interface SessionSandboxes {
  /**
   * A running, connected sandbox with its workspace ready. The slot must have been reserved in the
   * transaction that admitted the work, or is reserved here, waiting for one to come free.
   */
  ensure(sessionId: string, signal: AbortSignal): Promise<Connection>;
  /** Runs `use` with a connection, during which the sandbox is not evicted. */
  use<T>(sessionId: string, signal: AbortSignal, use: (connection: Connection) => Promise<T>): Promise<T>;
  /** Keeps the sandbox from eviction until the returned function is called. */
  hold(sessionId: string): () => void;
  connected(sessionId: string): Connection | null;
  /** Takes the slot of the longest idle sandbox: hibernated where the provider can, else stopped. False when every one is busy. */
  evictOne(): Promise<boolean>;
  /** Puts to rest what is due by the idle policy. */
  restIdle(): Promise<void>;
  /** Puts a session to rest now. Throws `unsupported` for what the provider cannot, `conflict` while a turn runs. */
  rest(sessionId: string, step: RestStep): Promise<void>;
  /** Waits until the session has a slot, evicting what is idle. Throws `unavailable` when none comes free. */
  reserve(sessionId: string, signal: AbortSignal): Promise<void>;
  /** Ends and removes the session's sandbox; idempotent. */
  destroy(sessionId: string): Promise<void>;
  /** Lets go of every connection; sandboxes go on. */
  close(): Promise<void>;
}

export interface SessionSandboxEvents {
  onTurnEnded: (turnId: string) => void;
  onSlotFreed: () => void;
}

interface Entry {
  connection: Connection | null;
  ensuring: Promise<Connection> | null;
  uses: number;
  lastUsedMs: number;
  /** Serialises stop, destroy and ensure of one session. */
  tail: Promise<unknown>;
  /** Fires when the session is being deleted: what is being made is given up. */
  gone: AbortController;
}

const restStatus = { pause: 'paused', hibernate: 'hibernated', stop: 'stopped' } as const;
/** How long a call that is not a turn (a terminal, a file) waits for a slot. */
const slotWaitMs = 60_000;
const slotPollMs = 250;
const operationTimeoutMs = 15 * 60_000;

export function createSessionSandboxes(deps: Dependencies, events: SessionSandboxEvents): SessionSandboxes {
  const entries = new Map<string, Entry>();
  const closing = new AbortController();
  const now = () => deps.clock.now().toISOString();

  function entryOf(sessionId: string): Entry {
    let entry = entries.get(sessionId);
    if (entry === undefined) {
      entry = {
        connection: null,
        ensuring: null,
        uses: 0,
        lastUsedMs: deps.clock.now().getTime(),
        tail: Promise.resolve(),
        gone: new AbortController(),
      };
      entries.set(sessionId, entry);
    }
    return entry;
  }

  function serialised<T>(sessionId: string, operation: () => Promise<T>): Promise<T> {
    const entry = entryOf(sessionId);
    const result = entry.tail.then(operation, operation);
    entry.tail = result.catch(() => {});
    return result;
  }

  async function ensure(sessionId: string, signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted();
    const entry = entryOf(sessionId);
    entry.lastUsedMs = deps.clock.now().getTime();
    if (entry.connection !== null) return entry.connection;
    // The work belongs to all who wait for it, so one caller's signal does not end it.
    entry.ensuring ??= serialised(sessionId, () =>
      entry.connection === null ? bringUp(sessionId, entry) : Promise.resolve(entry.connection),
    ).finally(() => (entry.ensuring = null));
    return withSignal(entry.ensuring, signal);
  }

  async function bringUp(sessionId: string, entry: Entry): Promise<Connection> {
    const signal = AbortSignal.any([closing.signal, entry.gone.signal, AbortSignal.timeout(operationTimeoutMs)]);
    await waitForSlot(sessionId, signal);
    let session = await existingSession(sessionId);
    const sandbox = await existingSandbox(session);
    const progress: Progress = (stage, message, fraction = null) => reportProgress(sessionId, stage, message, fraction);
    try {
      const { isNew } = await makeRun(session, sandbox, progress, signal);
      if (isNew && session.baseCommit !== null) session = await forgetDisk(session);
      const connection = openConnection(deps, {
        sessionId,
        sandboxId: sandbox.id,
        onTurnEnded: events.onTurnEnded,
        onLost: () => checkLost(sessionId, sandbox.id),
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
      await afterFailure(session, sandbox, cause);
      throw cause;
    }
  }

  async function waitForSlot(sessionId: string, signal: AbortSignal): Promise<void> {
    const deadlineMs = deps.clock.now().getTime() + slotWaitMs;
    for (;;) {
      const reserved = await deps.store.transaction(async (tx) => {
        const session = await tx.session(sessionId);
        if (session === null || session.deletingAt !== null) throw sessionNotFound(sessionId);
        return reserveSlot(tx, session, deps.settings, now());
      });
      if (reserved) return;
      if (await evictOne()) continue;
      if (deps.clock.now().getTime() >= deadlineMs) {
        throw new BerthError('unavailable', `all ${deps.settings.slots} slots are busy; try again when one is free`);
      }
      await deps.clock.sleep(slotPollMs, signal);
    }
  }

  async function makeRun(
    session: SessionRecord,
    sandbox: SandboxRecord,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<{ isNew: boolean }> {
    const found = await findSandbox(sandbox.id, signal);
    switch (found?.status) {
      case 'running':
        break;
      case undefined:
        await progress('sandbox', `creating a sandbox on ${session.provider}`);
        await deps.provider.create(sandboxSpecOf(deps, session, sandbox), { signal });
        break;
      case 'paused':
        await deps.provider.resume(sandbox.id, { signal });
        break;
      case 'hibernated': {
        await progress('sandbox', 'waking the sandbox');
        const { restored, reason } = await deps.provider.wake(sandbox.id, { signal });
        if (restored === 'disk') await progress('sandbox', `its processes could not be brought back, its files are there: ${reason}`);
        break;
      }
      default:
        await progress('sandbox', 'starting the sandbox from its disk');
        await deps.provider.start(sandbox.id, { signal });
    }
    await setSandboxStatus(session.id, sandbox.id, 'running', null);
    return { isNew: found === null };
  }

  /** The disk a session had is gone: it starts over from its base, and its log says so. */
  async function forgetDisk(session: SessionRecord): Promise<SessionRecord> {
    const message = 'the sandbox of this session was lost with its disk; starting again from the base commit';
    deps.logger.error({ sessionId: session.id }, message);
    await deps.store.transaction(async (tx) => {
      await tx.updateSession(session.id, { baseCommit: null, acpSessionId: null, updatedAt: now() });
      await tx.appendEvents(session.id, [
        { at: now(), turnId: null, type: 'progress', data: { stage: 'sandbox', message, fraction: null } },
      ]);
    });
    return existingSession(session.id);
  }

  async function findSandbox(id: string, signal: AbortSignal): Promise<SandboxInfo | null> {
    try {
      return await deps.provider.get(id, { signal });
    } catch (error) {
      if (asBerthError(error).code === 'not_found') return null;
      throw error;
    }
  }

  /** Gives the slot back: what exists is kept on disk, what was never made is forgotten. */
  async function afterFailure(session: SessionRecord, sandbox: SandboxRecord, cause: unknown): Promise<void> {
    const reason = asBerthError(cause).message;
    deps.logger.warn({ sessionId: session.id, sandboxId: sandbox.id, err: cause }, 'sandbox could not be made ready');
    if (closing.signal.aborted) return;
    try {
      const signal = AbortSignal.timeout(operationTimeoutMs);
      const found = await findSandbox(sandbox.id, signal);
      if (found === null) {
        await deps.store.transaction(async (tx) => {
          await tx.deleteSandbox(sandbox.id);
          await tx.updateSession(session.id, { sandboxId: null, updatedAt: now() });
          await settleSessionStatus(tx, session.id, now(), reason);
        });
      } else {
        await deps.provider.stop(sandbox.id, { signal });
        await setSandboxStatus(session.id, sandbox.id, 'stopped', reason);
      }
      events.onSlotFreed();
    } catch (error) {
      deps.logger.error({ sandboxId: sandbox.id, err: error }, 'a failed sandbox could not be put away');
    }
  }

  /** The journal's stream broke: is the sandbox still there? A turn it was running is brought to its end by starting it again. */
  async function checkLost(sessionId: string, sandboxId: string): Promise<boolean> {
    const entry = entryOf(sessionId);
    if (closing.signal.aborted || entry.connection?.sandboxId !== sandboxId) return false;
    let found: SandboxInfo | null;
    try {
      found = await findSandbox(sandboxId, AbortSignal.any([closing.signal, AbortSignal.timeout(30_000)]));
    } catch {
      return true;
    }
    if (found?.status === 'running') return true;
    const connection = entry.connection;
    entry.connection = null;
    // Not awaited: closing waits for the follower, which waits for this answer.
    void connection.close();
    await setSandboxStatus(sessionId, sandboxId, found === null ? 'broken' : 'stopped', 'the sandbox ended by itself');
    const active = await deps.store.read.turns(sessionId, activeTurnStates);
    if (active.length > 0) {
      void ensure(sessionId, closing.signal)
        .then((again) => again.follow())
        .catch((error: unknown) => deps.logger.error({ sessionId, err: error }, 'a lost sandbox could not be started'));
    } else {
      events.onSlotFreed();
    }
    return false;
  }

  async function setSandboxStatus(
    sessionId: string,
    sandboxId: string,
    status: SandboxRecord['status'],
    reason: string | null,
  ): Promise<void> {
    await deps.store.transaction(async (tx) => {
      const before = await tx.sandbox(sandboxId);
      if (before === null) return;
      const at = now();
      await tx.updateSandbox(sandboxId, { status, updatedAt: at });
      if (before.status !== status && (await tx.session(sessionId)) !== null) {
        await tx.appendEvents(sessionId, [
          { at, turnId: null, type: 'sandbox.status', data: { sandboxId, provider: before.provider, status, reason } },
        ]);
      }
      await settleSessionStatus(tx, sessionId, at, reason);
    });
  }

  async function reportProgress(sessionId: string, stage: string, message: string, fraction: number | null) {
    await deps.store.transaction(async (tx) => {
      if ((await tx.session(sessionId)) === null) return;
      await tx.appendEvents(sessionId, [{ at: now(), turnId: null, type: 'progress', data: { stage, message, fraction } }]);
    });
  }

  async function existingSession(sessionId: string): Promise<SessionRecord> {
    const session = await deps.store.read.session(sessionId);
    if (session === null || session.deletingAt !== null) throw sessionNotFound(sessionId);
    return session;
  }

  async function existingSandbox(session: SessionRecord): Promise<SandboxRecord> {
    const sandbox = session.sandboxId === null ? null : await deps.store.read.sandbox(session.sandboxId);
    if (sandbox === null) throw new BerthError('internal', `session ${session.id} has no sandbox after its slot was reserved`);
    return sandbox;
  }

  /** `asking`: a turn runs, but waits for an answer only. */
  async function activityOf(sessionId: string): Promise<'busy' | 'asking' | 'idle'> {
    const entry = entryOf(sessionId);
    if (entry.uses > 0 || entry.ensuring !== null) return 'busy';
    const active = await deps.store.read.turns(sessionId, activeTurnStates);
    if (active.length === 0) return 'idle';
    if (active.some((turn) => turn.state !== 'running' || turn.cancelRequestedAt !== null)) return 'busy';
    return (await deps.store.read.openPermissions(sessionId)).length > 0 ? 'asking' : 'busy';
  }

  interface Resting {
    sessionId: string;
    status: SandboxRecord['status'];
    activity: 'asking' | 'idle';
    lastUsedMs: number;
  }

  /** What nobody uses, longest first; those that ask come after those that are done. */
  async function unusedSessions(): Promise<Resting[]> {
    const unused: Resting[] = [];
    for (const { sessionId, status } of await deps.store.read.sandboxes()) {
      if (sessionId === null) continue;
      const activity = await activityOf(sessionId);
      if (activity !== 'busy') unused.push({ sessionId, status, activity, lastUsedMs: entryOf(sessionId).lastUsedMs });
    }
    const rank = (each: Resting) => (each.activity === 'asking' ? 1 : 0);
    return unused.sort((a, b) => rank(a) - rank(b) || a.lastUsedMs - b.lastUsedMs);
  }

  async function evictOne(): Promise<boolean> {
    const step = restingStep(deps.provider.capabilities);
    for (const { sessionId, status, activity } of await unusedSessions()) {
      // A question must outlive its sandbox's sleep: only a memory image keeps the agent that asks.
      if (!isAwake(status) || (activity === 'asking' && step !== 'hibernate')) continue;
      if (await restSession(sessionId, step, 'its slot was needed', true)) return true;
    }
    return false;
  }

  async function restSession(
    sessionId: string,
    step: RestStep,
    reason: string,
    onlyIfUnused: boolean,
  ): Promise<boolean> {
    const rested = await serialised(sessionId, async () => {
      // Work may have come since the caller looked.
      if (onlyIfUnused && (await activityOf(sessionId)) === 'busy') return false;
      const session = await deps.store.read.session(sessionId);
      const sandbox = session?.sandboxId == null ? null : await deps.store.read.sandbox(session.sandboxId);
      if (sandbox === null || sandbox.status === restStatus[step]) return false;
      // Streams to the runner must be closed before it is frozen; they are opened again on need.
      await disconnect(sessionId);
      try {
        await restSandbox(sandbox.id, step);
      } catch (error) {
        // The provider left it as it was, and so is it here; the next access connects again.
        deps.logger.warn({ sessionId, step, err: error }, 'a sandbox could not be put to rest');
        if (step === 'stop') throw error;
        return onlyIfUnused ? restFurther(sessionId, sandbox.id, step, reason, error) : Promise.reject(error as Error);
      }
      await setSandboxStatus(sessionId, sandbox.id, restStatus[step], reason);
      return true;
    });
    if (rested && step !== 'pause') events.onSlotFreed();
    return rested;
  }

  /** An idle sandbox whose memory cannot be kept is stopped when its slot is to be freed; one that asks is left running. */
  async function restFurther(
    sessionId: string,
    sandboxId: string,
    step: RestStep,
    reason: string,
    cause: unknown,
  ): Promise<boolean> {
    if (step !== 'hibernate' || (await activityOf(sessionId)) !== 'idle') {
      await follow(sessionId);
      return false;
    }
    await deps.provider.stop(sandboxId, { signal: closing.signal });
    await setSandboxStatus(sessionId, sandboxId, 'stopped', `${reason}; its processes were ended: ${asBerthError(cause).message}`);
    return true;
  }

  /** Reads on from a sandbox with a turn under way, after its streams were closed for nothing. */
  async function follow(sessionId: string): Promise<void> {
    void ensure(sessionId, closing.signal)
      .then((connection) => connection.follow())
      .catch((error: unknown) => deps.logger.warn({ sessionId, err: error }, 'could not connect again'));
  }

  async function restSandbox(sandboxId: string, step: RestStep): Promise<void> {
    const options = { signal: closing.signal };
    if (step === 'pause') await deps.provider.pause(sandboxId, options);
    else if (step === 'hibernate') await deps.provider.hibernate(sandboxId, options);
    else await deps.provider.stop(sandboxId, options);
  }

  async function disconnect(sessionId: string): Promise<void> {
    const entry = entryOf(sessionId);
    const connection = entry.connection;
    entry.connection = null;
    await connection?.close();
  }

  return {
    ensure,
    async use(sessionId, signal, use) {
      const entry = entryOf(sessionId);
      entry.uses += 1;
      try {
        return await use(await ensure(sessionId, signal));
      } finally {
        entry.uses -= 1;
        entry.lastUsedMs = deps.clock.now().getTime();
      }
    },
    hold(sessionId) {
      const entry = entryOf(sessionId);
      entry.uses += 1;
      let held = true;
      return () => {
        if (held) entry.uses -= 1;
        held = false;
        entry.lastUsedMs = deps.clock.now().getTime();
      };
    },
    reserve: waitForSlot,
    connected: (sessionId) => entries.get(sessionId)?.connection ?? null,
    evictOne,
    async restIdle() {
      const nowMs = deps.clock.now().getTime();
      for (const { sessionId, status, activity, lastUsedMs } of await unusedSessions()) {
        const step = dueStep(status, nowMs - lastUsedMs, activity === 'asking', deps.settings.idle, deps.provider.capabilities);
        if (step !== null) await restSession(sessionId, step, 'it was idle', true);
      }
    },
    async rest(sessionId, step) {
      if ((await activityOf(sessionId)) === 'busy') {
        throw new BerthError('conflict', 'the session is at work; interrupt it first', { field: 'id' });
      }
      await restSession(sessionId, step, 'it was asked to', false);
    },
    async destroy(sessionId) {
      entryOf(sessionId).gone.abort();
      await serialised(sessionId, async () => {
        await disconnect(sessionId);
        for (const sandbox of await deps.store.read.sandboxes()) {
          if (sandbox.sessionId !== sessionId) continue;
          await deps.store.transaction((tx) => tx.updateSandbox(sandbox.id, { status: 'destroying', updatedAt: now() }));
          await deps.provider.destroy(sandbox.id, { signal: closing.signal });
          await deps.store.transaction(async (tx) => {
            await tx.deleteSandbox(sandbox.id);
            if ((await tx.session(sessionId)) !== null) await tx.updateSession(sessionId, { sandboxId: null });
          });
        }
      });
      entries.delete(sessionId);
      events.onSlotFreed();
    },
    async close() {
      closing.abort();
      const all = [...entries.values()];
      await Promise.all(all.map((entry) => entry.tail.catch(() => {})));
      await Promise.all(all.map(async (entry) => entry.connection?.close()));
    },
  };
}

function sessionNotFound(id: string): BerthError {
  return new BerthError('not_found', `there is no session ${id}`, { field: 'id' });
}

function withSignal<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new BerthError('cancelled', 'the wait for the sandbox was cancelled'));
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** What the provider is to make for a session. */
export function sandboxSpecOf(
  deps: Pick<Dependencies, 'runnerToken'>,
  session: Pick<SessionRecord, 'id'>,
  sandbox: Pick<SandboxRecord, 'id' | 'template' | 'limits'>,
): SandboxSpec {
  return {
    id: sandbox.id,
    template: sandbox.template,
    limits: sandbox.limits,
    network: 'none',
    labels: { session: session.id },
    runnerToken: deps.runnerToken(sandbox.id),
    env: proxyEnv,
  };
}
