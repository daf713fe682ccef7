import type { Dependencies } from '../dependencies.ts';
import { createBringUp } from './bring-up.ts';
import type { Connection } from './connection.ts';
import type { SandboxesContext, SessionSandboxEvents } from './context.ts';
import { createSessionEntries } from './entries.ts';
import { createEviction, type BeginEviction } from './eviction.ts';
import type { RestStep } from './idle-policy.ts';
import { recordUses, restIdle } from './idle-rest.ts';
import { destroySandboxes } from './removal.ts';
import { createResting, type RestSession } from './resting.ts';
import { waitForSlot } from './slot-wait.ts';

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
  beginEviction: BeginEviction;
  /** Puts to rest what is due by the idle policy. Resolves to the sessions whose deletion it began. */
  restIdle(): Promise<string[]>;
  /** Puts a session to rest now. Throws `unsupported` for what the provider cannot, `conflict` while it is at work. */
  rest(sessionId: string, step: RestStep): Promise<void>;
  /** Runs `operation` with no other on this session's sandbox beside it. */
  exclusively<T>(sessionId: string, operation: () => Promise<T>): Promise<T>;
  /** Waits until a fork that is being made has a slot, evicting what is idle. Throws `unavailable` when none comes free. */
  reserve(sessionId: string, signal: AbortSignal): Promise<void>;
  /** Ends and removes the session's sandbox; idempotent. */
  destroy(sessionId: string): Promise<void>;
  /** Lets go of every connection; sandboxes go on. */
  close(): Promise<void>;
}

export function createSessionSandboxes(deps: Dependencies, events: SessionSandboxEvents): SessionSandboxes {
  const closing = new AbortController();
  const entries = createSessionEntries(deps.clock);
  const context: SandboxesContext = { deps, events, entries, closing: closing.signal };
  const beginEviction: BeginEviction = (within) => eviction(within);
  const ensure = createBringUp(context, beginEviction);
  const restSession: RestSession = createResting(context, ensure);
  const eviction = createEviction(context, restSession);

  return {
    ensure,
    async use(sessionId, signal, use) {
      const release = entries.hold(sessionId);
      try {
        return await use(await ensure(sessionId, signal));
      } finally {
        release();
      }
    },
    hold(sessionId) {
      const release = entries.hold(sessionId);
      return () => {
        release();
        // Somebody may wait for its slot.
        if (entries.find(sessionId)?.uses === 0) events.onSlotFreed();
      };
    },
    exclusively: (sessionId, operation) => entries.serialised(sessionId, operation),
    reserve: (sessionId, signal) => waitForSlot(context, sessionId, beginEviction, signal, { unfinished: true }),
    connected: (sessionId) => entries.find(sessionId)?.connection ?? null,
    beginEviction,
    restIdle: () => restIdle(context, restSession, ensure),
    async rest(sessionId, step) {
      await restSession(sessionId, step, 'by hand', false);
    },
    destroy: (sessionId) => destroySandboxes(context, sessionId),
    async close() {
      await recordUses(context).catch((error: unknown) =>
        deps.logger.warn({ err: error }, 'last uses were not stored'),
      );
      closing.abort();
      const all = entries.all();
      await Promise.all(all.map((entry) => entry.tail.catch(() => {})));
      await Promise.all(all.map(async (entry) => entry.connection?.close()));
    },
  };
}
