import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from '../../core/ports/logger.ts';
import { anyHost } from '../../core/ports/queue.ts';
import type { EventListeners } from '../event-listeners.ts';
import type { WorkListeners } from '../work-channel.ts';
import { eventsChannel, workChannel } from './engine.ts';
import { asStoreError } from './errors.ts';
import { connectionConfig } from './pool.ts';

/** How often a silent connection is tried, and how long its answer may take. */
const probeEveryMs = 30_000;
const probeTimeoutMs = 10_000;
const firstDelayMs = 50;
const longestDelayMs = 5_000;

export interface AnnouncementsOptions {
  url: string;
  /** What this store's own announcements carry; they are told at the commit already, and skipped here. */
  origin: string;
  listeners: EventListeners;
  work: WorkListeners;
  logger?: Logger | undefined;
}

export interface Announcements {
  /** The same listeners, and a note of how far they were told, for use at this store's own commits. */
  listeners: EventListeners;
  close: () => Promise<void>;
}

/**
 * Tells listeners of events that other servers commit, over a connection of its own.
 *
 * `listening`: announcements are told as they come. When the connection is lost: `lost`. It is made anew, for as
 * long as it takes; then what was missed is found by comparing every session's `last_seq` with the one last
 * heard of, and told. The numbers cost some 100 bytes for each session with events.
 *
 * Resolves when listening first; throws when that fails.
 */
export async function followAnnouncements(options: AnnouncementsOptions): Promise<Announcements> {
  const { url, origin, listeners, work, logger } = options;
  const closing = new AbortController();
  let heard = new Map<string, number>();

  /** Connects, listens, then looks for what was missed: in this order nothing falls between. */
  async function listen(tellMissed: boolean): Promise<Connection> {
    const connection = await connect(url, { [eventsChannel]: hear, [workChannel]: hearWork });
    try {
      const result = await connection.client.query<{ id: string; last_seq: number }>(
        'select id, last_seq from sessions where last_seq > 0',
      );
      const missed = new Map<string, number>();
      const now = new Map<string, number>();
      for (const { id, last_seq: lastSeq } of result.rows) {
        const known = heard.get(id) ?? 0;
        now.set(id, Math.max(known, lastSeq));
        if (lastSeq > known) missed.set(id, lastSeq);
      }
      heard = now;
      if (tellMissed) {
        listeners.tell(missed);
        work.tell(anyHost);
      }
      return connection;
    } catch (error) {
      connection.end();
      throw error;
    }
  }

  function hear(payload: string): void {
    const [from, sessionId, seq] = payload.split(' ');
    const lastSeq = Number(seq);
    if (from === origin || sessionId === undefined || !Number.isSafeInteger(lastSeq)) return;
    if (lastSeq <= (heard.get(sessionId) ?? 0)) return;
    heard.set(sessionId, lastSeq);
    listeners.tell(new Map([[sessionId, lastSeq]]));
  }

  function hearWork(payload: string): void {
    const [from, to] = payload.split(' ');
    if (from !== origin && to !== undefined) work.tell(to);
  }

  async function relisten(): Promise<Connection | null> {
    for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
      await sleep(delayMs * (0.5 + Math.random() / 2), undefined, { signal: closing.signal }).catch(() => {});
      if (closing.signal.aborted) return null;
      try {
        return await listen(true);
      } catch (error) {
        logger?.warn({ err: error }, 'listening to the database failed; trying again');
      }
    }
  }

  async function follow(first: Connection): Promise<void> {
    for (let connection: Connection | null = first; connection !== null;) {
      const { lost, end } = connection;
      closing.signal.addEventListener('abort', end);
      // It may have been closed while this connection was made.
      if (closing.signal.aborted) end();
      await lost;
      closing.signal.removeEventListener('abort', end);
      if (closing.signal.aborted) return;
      logger?.warn({}, 'the connection that listens to the database was lost');
      connection = await relisten();
    }
  }

  let following: Promise<void>;
  try {
    following = follow(await listen(false));
  } catch (error) {
    throw asStoreError(error);
  }
  return {
    listeners: {
      add: (listener) => listeners.add(listener),
      tell(appended) {
        for (const [id, lastSeq] of appended) heard.set(id, Math.max(lastSeq, heard.get(id) ?? 0));
        listeners.tell(appended);
      },
    },
    async close() {
      closing.abort();
      await following;
    },
  };
}

interface Connection {
  client: pg.Client;
  /** Resolves when it is of no more use, for whatever reason. */
  lost: Promise<void>;
  end: () => void;
}

/** A connection that listens, and is given up when it does not answer a probe. */
async function connect(url: string, hear: Record<string, (payload: string) => void>): Promise<Connection> {
  const client = new pg.Client({ ...connectionConfig(url), query_timeout: probeTimeoutMs });
  const { promise: lost, resolve } = Promise.withResolvers<void>();
  const probe = setInterval(() => void client.query('select 1').catch(end), probeEveryMs);
  function end(): void {
    clearInterval(probe);
    resolve();
    client.end().catch(() => {});
  }
  client.on('error', end);
  client.on('end', end);
  client.on('notification', ({ channel, payload }) => hear[channel]?.(payload ?? ''));
  try {
    await client.connect();
    for (const channel of Object.keys(hear)) await client.query(`listen ${channel}`);
    return { client, lost, end };
  } catch (error) {
    end();
    throw error;
  }
}
