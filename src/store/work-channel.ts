import type { Logger } from '../core/ports/logger.ts';

export type WorkListener = (to: string) => void;

/** Carries announcements of work between the servers on one database. */
export interface WorkChannel {
  announce(to: string): Promise<void>;
  add(listener: WorkListener): () => void;
}

/** Those who want to hear of work that others announced. One that throws does not harm the others. */
export interface WorkListeners {
  add(listener: WorkListener): () => void;
  tell(to: string): void;
}

export function createWorkListeners(logger?: Logger): WorkListeners {
  const registrations = new Set<{ listener: WorkListener }>();
  return {
    add(listener) {
      const registration = { listener };
      registrations.add(registration);
      return () => void registrations.delete(registration);
    },
    tell(to) {
      for (const { listener } of registrations) {
        try {
          listener(to);
        } catch (error) {
          logger?.error({ err: error, to }, 'a listener for work failed');
        }
      }
    },
  };
}

/** For a database that one server has to itself. */
export function createLoneChannel(): WorkChannel {
  return { announce: async () => {}, add: () => () => {} };
}
