import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../../core/ports/logger.ts';
import { asBerthError } from '../../protocol/errors.ts';

/** The adapter's own objects of a request; absent where a test calls the application without a server. */
export interface Connection {
  incoming?: IncomingMessage;
  outgoing?: ServerResponse;
}

/**
 * The requests that are being answered, streams and sockets among them. What they were let in by is looked at again when
 * access changes here, and every few seconds, for what other servers change and for tokens that run out; the connection
 * of one that is not let in any more is cut.
 */
export interface OpenRequests {
  /** Until its answer has ended, or for a WebSocket until that is closed. `check` throws when it may not go on. */
  add(connection: Connection | undefined, check: () => Promise<unknown>): void;
  recheck(): Promise<void>;
}

const recheckMs = 5_000;
/** For how many looks in a row it may be that nobody can be asked: a database that is started anew. */
const unanswered = 6;

export function createOpenRequests(logger: Logger): OpenRequests {
  const open = new Set<{ check: () => Promise<unknown>; cut: () => void; unanswered: number }>();
  let timer: NodeJS.Timeout | null = null;

  function schedule(): void {
    if (timer !== null || open.size === 0) return;
    timer = setTimeout(() => {
      timer = null;
      void recheck().then(schedule);
    }, recheckMs).unref();
  }

  async function recheck(): Promise<void> {
    for (const entry of [...open]) {
      try {
        await entry.check();
        entry.unanswered = 0;
      } catch (error) {
        if (asBerthError(error).status >= 500 && ++entry.unanswered < unanswered) continue;
        logger.info({ err: error }, 'a connection is cut: it may not go on');
        entry.cut();
      }
    }
  }

  return {
    add(connection, check) {
      const { incoming, outgoing } = connection ?? {};
      if (incoming === undefined) return;
      const entry = { check, cut: () => void incoming.socket.destroy(), unanswered: 0 };
      const forget = (): void => {
        open.delete(entry);
        outgoing?.off('close', forget);
        incoming.socket.off('close', forget);
      };
      open.add(entry);
      outgoing?.once('close', forget);
      incoming.socket.once('close', forget);
      schedule();
    },
    recheck,
  };
}
