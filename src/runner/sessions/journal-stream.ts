import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { runnerHeartbeatMs, type JournalHead } from '../../protocol/runner-api.ts';
import type { Clock } from './clock.ts';
import type { Journal } from './journal.ts';

export interface JournalStreamOptions {
  /** Only events above this `seq`. */
  from: number;
  /** Whether to go on with new events, and a blank line when there are none for a while. */
  follow: boolean;
  clock: Clock;
}

/**
 * Answers with a journal as NDJSON: its head, then its lines as they stand in the file. Bytes are
 * read only as fast as the reader takes them. Ends when the reader goes away.
 */
export async function streamJournal(
  res: ServerResponse,
  journal: Journal,
  options: JournalStreamOptions,
): Promise<void> {
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  res.once('error', () => gone.abort());
  let offset = journal.offsetAfter(options.from);
  res.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  const head: JournalHead = { journalId: journal.journalId, lastSeq: journal.lastSeq };
  await send(res, `${JSON.stringify(head)}\n`, gone.signal);
  while (!gone.signal.aborted) {
    const bytes = await journal.read(offset);
    if (bytes.length > 0) {
      offset += bytes.length;
      await send(res, bytes, gone.signal);
    } else if (!options.follow || journal.closed) {
      break;
    } else if (!(await waitForMore(journal, offset, options.clock, gone.signal))) {
      await send(res, '\n', gone.signal);
    }
  }
  res.end();
}

/** `false` when the heartbeat is due first. */
async function waitForMore(journal: Journal, offset: number, clock: Clock, gone: AbortSignal): Promise<boolean> {
  const settled = new AbortController();
  const stop = AbortSignal.any([settled.signal, gone]);
  const more = journal.waitBeyond(offset, stop).then(() => true);
  const heartbeat = clock.sleep(runnerHeartbeatMs, stop).then(
    () => false,
    () => true,
  );
  const result = await Promise.race([more, heartbeat]);
  settled.abort();
  return result;
}

async function send(res: ServerResponse, bytes: Buffer | string, gone: AbortSignal): Promise<void> {
  if (gone.aborted || res.write(bytes)) return;
  try {
    await once(res, 'drain', { signal: gone });
  } catch (error) {
    if (!gone.aborted) throw error;
  }
}
