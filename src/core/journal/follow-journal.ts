import { asBerthError, type BerthError } from '../../protocol/errors.ts';
import type { Settings } from '../dependencies.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { JournalEntry, RunnerClient } from '../ports/runner.ts';
import type { Store } from '../ports/store.ts';
import { FloodGuard } from './flood-guard.ts';
import { importJournal } from './import-journal.ts';

/** Most entries that one transaction takes in. */
const maxBatch = 200;
/** Nor of more than this, and one entry. */
const maxBatchBytes = 2 * 1024 * 1024;
/** An importing transaction syncs the disk; a stream of single words is gathered for this long. */
const gatherMs = 15;
const firstRetryMs = 50;
const lastRetryMs = 5_000;

export interface JournalFollowerOptions {
  sessionId: string;
  runner: RunnerClient;
  store: Store;
  clock: Clock;
  logger: Logger;
  settings: Pick<Settings, 'permissionPolicy' | 'logLimits'>;
  onTurnEnded: (turnId: string) => void;
  /** Answers are kept for the agent. */
  onAnswersKept: () => void;
  /** The stream broke; resolves to whether following goes on. Never rejects. */
  onLost: () => Promise<boolean>;
  /** What comes is no journal of a runner of ours; following ends. Never rejects. */
  onRefused: (error: BerthError) => Promise<void>;
}

/**
 * Reads a session's journal from the last entry stored and takes each new one into the log, until
 * the signal fires, `onLost` says to stop or the journal is refused. Never rejects.
 */
export async function followJournal(options: JournalFollowerOptions, signal: AbortSignal): Promise<void> {
  const { sessionId, runner, store, clock, logger, settings } = options;
  const guard = new FloodGuard(clock, settings.logLimits);
  let retryMs = firstRetryMs;
  while (!signal.aborted) {
    // A stream that is left while it waits for an entry would wait for that first.
    const leave = new AbortController();
    const streaming = AbortSignal.any([signal, leave.signal]);
    try {
      const session = await store.read.session(sessionId);
      if (session === null) return;
      let stream = await runner.followJournal(sessionId, session.journalSeq, streaming);
      if (session.journalId !== null && stream.journalId !== session.journalId && session.journalSeq > 0) {
        stream = await runner.followJournal(sessionId, 0, streaming);
      }
      for await (const batch of inBatches(stream.events, clock, streaming)) {
        const now = clock.now().toISOString();
        const taken = await store
          .transaction((tx) => importJournal(tx, sessionId, stream.journalId, batch, { settings, guard, now }))
          .catch((error: unknown) => {
            leave.abort(error);
            throw error;
          });
        if (taken.guard !== null) guard.stored(taken.guard);
        if (taken.hasAnswers) options.onAnswersKept();
        for (const turnId of taken.endedTurnIds) options.onTurnEnded(turnId);
        retryMs = firstRetryMs;
        await guard.pace(batch, streaming);
      }
    } catch (cause) {
      if (signal.aborted) return;
      const error = asBerthError(cause);
      logger.debug({ sessionId, code: error.code, err: error }, 'journal stream broke');
      if (error.code === 'upstream_failed') return options.onRefused(error);
    }
    if (signal.aborted || !(await options.onLost())) return;
    await clock.sleep(retryMs, signal).catch(() => {});
    retryMs = Math.min(retryMs * 2, lastRetryMs);
  }
}

/** Gathers what arrives close together, so that a flood costs few transactions and a single event little delay. */
async function* inBatches(
  events: AsyncIterable<JournalEntry>,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<JournalEntry[]> {
  const iterator = events[Symbol.asyncIterator]();
  let next = iterator.next();
  try {
    for (;;) {
      const first = await next;
      if (first.done === true) return;
      const batch = [first.value];
      let { sizeBytes } = first.value;
      next = iterator.next();
      const deadline = clock.sleep(gatherMs, signal).then(
        () => 'due' as const,
        () => 'due' as const,
      );
      for (;;) {
        const arrived = await Promise.race([next, deadline]);
        if (arrived === 'due' || arrived.done === true) break;
        batch.push(arrived.value);
        sizeBytes += arrived.value.sizeBytes;
        if (batch.length >= maxBatch || sizeBytes >= maxBatchBytes) {
          next = iterator.next();
          break;
        }
        next = iterator.next();
      }
      yield batch;
    }
  } finally {
    next.catch(() => {});
    await iterator.return?.();
  }
}
