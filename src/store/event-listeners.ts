import type { Logger } from '../core/ports/logger.ts';

export type EventListener = (sessionId: string, lastSeq: number) => void;

/** Those who want to hear of committed events. One that throws harms neither the commit nor the others. */
export interface EventListeners {
  add(listener: EventListener): () => void;
  /** Tells of each session's newest `seq`. */
  tell(appended: ReadonlyMap<string, number>): void;
}

export function createEventListeners(logger?: Logger): EventListeners {
  // By registration, not by function: the same function may be added twice and removed once.
  const registrations = new Set<{ listener: EventListener }>();
  return {
    add(listener) {
      const registration = { listener };
      registrations.add(registration);
      return () => void registrations.delete(registration);
    },

    tell(appended) {
      for (const [sessionId, lastSeq] of appended) {
        for (const { listener } of registrations) {
          try {
            listener(sessionId, lastSeq);
          } catch (error) {
            logger?.error({ err: error, sessionId }, 'a listener for events failed');
          }
        }
      }
    },
  };
}
