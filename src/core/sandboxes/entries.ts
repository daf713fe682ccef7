import type { Clock } from '../ports/clock.ts';
import type { Connection } from './connection.ts';

/** What this process knows of a session's sandbox beyond the store. */
export interface Entry {
  connection: Connection | null;
  ensuring: Promise<Connection> | null;
  uses: number;
  /** When this process last saw it used; 0 before. The store follows, by `recordUses`. */
  lastUsedMs: number;
  recordedMs: number;
  /** Serialises stop, destroy and ensure of one session. */
  tail: Promise<unknown>;
  /** Fires when the session is being deleted: what is being made is given up. */
  gone: AbortController;
}

export interface SessionEntries {
  of(sessionId: string): Entry;
  find(sessionId: string): Entry | undefined;
  all(): Entry[];
  remove(sessionId: string): void;
  /** Runs `operation` when those of this session that were asked for before have ended. */
  serialised<T>(sessionId: string, operation: () => Promise<T>): Promise<T>;
  /** Closes the streams to the sandbox; the next access opens them again. */
  disconnect(sessionId: string): Promise<void>;
  /** What was used since it was last told, or is in use. */
  takeUses(): { sessionId: string; lastUsedMs: number }[];
  /** Keeps the sandbox from eviction until the returned function is called. */
  hold(sessionId: string): () => void;
}

export function createSessionEntries(clock: Clock): SessionEntries {
  const entries = new Map<string, Entry>();
  const nowMs = () => clock.now().getTime();

  function of(sessionId: string): Entry {
    let entry = entries.get(sessionId);
    if (entry === undefined) {
      entry = {
        connection: null,
        ensuring: null,
        uses: 0,
        lastUsedMs: 0,
        recordedMs: 0,
        tail: Promise.resolve(),
        gone: new AbortController(),
      };
      entries.set(sessionId, entry);
    }
    return entry;
  }

  return {
    of,
    find: (sessionId) => entries.get(sessionId),
    all: () => [...entries.values()],
    remove: (sessionId) => void entries.delete(sessionId),
    serialised(sessionId, operation) {
      const entry = of(sessionId);
      const result = entry.tail.then(operation, operation);
      entry.tail = result.catch(() => {});
      return result;
    },
    async disconnect(sessionId) {
      const entry = of(sessionId);
      const { connection } = entry;
      entry.connection = null;
      await connection?.close();
    },
    takeUses() {
      const taken: { sessionId: string; lastUsedMs: number }[] = [];
      for (const [sessionId, entry] of entries) {
        if (entry.uses > 0) entry.lastUsedMs = nowMs();
        if (entry.lastUsedMs <= entry.recordedMs) continue;
        entry.recordedMs = entry.lastUsedMs;
        taken.push({ sessionId, lastUsedMs: entry.lastUsedMs });
      }
      return taken;
    },
    hold(sessionId) {
      const entry = of(sessionId);
      entry.uses += 1;
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        entry.uses -= 1;
        entry.lastUsedMs = nowMs();
      };
    },
  };
}
