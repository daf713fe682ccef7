import type { Clock } from '../ports/clock.ts';
import type { Connection } from './connection.ts';

/** What this process knows of a session's sandbox beyond the store. */
export interface Entry {
  connection: Connection | null;
  ensuring: Promise<Connection> | null;
  uses: number;
  lastUsedMs: number;
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
        lastUsedMs: nowMs(),
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
    hold(sessionId) {
      const entry = of(sessionId);
      entry.uses += 1;
      let held = true;
      return () => {
        if (held) entry.uses -= 1;
        held = false;
        entry.lastUsedMs = nowMs();
      };
    },
  };
}
