import { z } from 'zod';
import { BerthError } from '../protocol/errors.ts';
import { sessionEvent, type SessionEvent } from '../protocol/events.ts';
import { backoffMs, delay } from './delay.ts';
import { readSocket } from './socket-messages.ts';
import { readSse } from './sse.ts';
import type { Transport } from './transport.ts';

export interface EventsOptions {
  /** Events with a greater `seq` are delivered; default 0, the whole log. */
  from?: number;
  signal?: AbortSignal;
  /** `websocket` for browsers, whose few HTTP connections to a server are shared by all their tabs. Default `sse`. */
  over?: 'sse' | 'websocket';
  /** Told about each lost connection, before the wait for the next attempt. */
  onReconnect?: (error: BerthError, waitMs: number) => void;
  /** Told when a connection stands: what was missed follows at once. */
  onConnect?: () => void;
  /** How long the stream may be silent before it counts as broken. */
  silenceLimitMs?: number;
}

/** What every event has, known type or not. */
const envelope = z.looseObject({ seq: z.number().int().positive(), type: z.string() });

/** Failures after which the same request may well succeed; every other one ends the iteration. */
const passing = new Set(['unavailable', 'timeout', 'upstream_failed', 'rate_limited', 'sandbox_lost']);

/**
 * A session's events in order, each exactly once, for as long as the caller iterates.
 *
 * States: *connecting* (a request is out) -> *reading* (messages arrive) -> *waiting* (the connection
 * was lost; backoff) -> connecting again, from the last `seq` that was seen. A message at or below
 * that `seq` is a repeat and dropped; one that leaves a gap makes the connection suspect, so it is
 * made again, and a gap right at the start of a fresh connection is the server's failure and thrown.
 *
 * The first connection fails at once; later ones are tried until the signal fires. Events of a type
 * that this client does not know are counted and skipped.
 */
export async function* sessionEvents(
  transport: Transport,
  sessionId: string,
  options: EventsOptions = {},
): AsyncGenerator<SessionEvent> {
  let last = options.from ?? 0;
  let connectedOnce = false;
  for (let attempt = 0; ; attempt++) {
    let fresh = true;
    let failure: BerthError;
    try {
      const path = `/api/sessions/${encodeURIComponent(sessionId)}`;
      const connection = {
        query: { from: last },
        signal: options.signal,
        onOpen: options.onConnect,
        ...(options.silenceLimitMs === undefined ? {} : { silenceLimitMs: options.silenceLimitMs }),
      };
      const messages =
        options.over === 'websocket'
          ? readSocket(transport, `${path}/stream`, {
              ...connection,
              explain: () =>
                transport.empty('GET', path, options.signal === undefined ? {} : { signal: options.signal }),
            })
          : readSse(transport, `${path}/events`, connection);
      for await (const message of messages) {
        connectedOnce = true;
        const event = parse(message.data);
        if (event === null || event.seq <= last) continue;
        if (event.seq > last + 1) {
          const gap = new BerthError('upstream_failed', `event ${last + 1} is missing before ${event.seq}`);
          if (fresh) throw new BerthError('internal', gap.message);
          throw gap;
        }
        fresh = false;
        attempt = 0;
        last = event.seq;
        if (event.known !== null) yield event.known;
      }
      connectedOnce = true;
      failure = new BerthError('unavailable', 'the server closed the event stream');
    } catch (error) {
      if (!(error instanceof BerthError) || !connectedOnce || !passing.has(error.code)) throw error;
      failure = error;
    }
    const waitMs = backoffMs(attempt);
    options.onReconnect?.(failure, waitMs);
    await delay(waitMs, options.signal);
  }
}

/** `null` for a message that is no event at all. */
function parse(data: string): { seq: number; known: SessionEvent | null } | null {
  let body: unknown;
  try {
    body = JSON.parse(data);
  } catch {
    return null;
  }
  const outer = envelope.safeParse(body);
  if (!outer.success) return null;
  const inner = sessionEvent.safeParse(body);
  return { seq: outer.data.seq, known: inner.success ? inner.data : null };
}
