import type { BerthClient } from '../sdk/index.ts';
import type { CliContext } from './context.ts';
import { sanitizeLine } from './render/sanitize.ts';

/** Those whose sandbox must be brought up before anything in it can be used. */
const asleep = new Set(['paused', 'hibernated', 'stopped', 'failed', 'idle', 'asking']);

/** A sandbox that is there sooner is not worth a word. */
const patienceMs = 400;

/** Runs `work`, which may wake the session's sandbox, and tells on stderr meanwhile what is being done for it. */
export async function withWakeProgress<T>(
  context: CliContext,
  client: BerthClient,
  sessionId: string,
  work: () => Promise<T>,
): Promise<T> {
  const session = await client.sessions.get(sessionId);
  if (context.json || !process.stderr.isTTY || !asleep.has(session.status)) return work();
  const done = new AbortController();
  const timer = setTimeout(() => void tell(context, client, sessionId, session.lastSeq, done.signal), patienceMs);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
    done.abort();
  }
}

async function tell(
  context: CliContext,
  client: BerthClient,
  sessionId: string,
  from: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const event of client.sessions.events(sessionId, { from, signal })) {
      if (event.type === 'progress') context.notice(context.style.dim(`${sanitizeLine(event.data.message)} ...`));
    }
  } catch {
    // The work itself tells what went wrong.
  }
}
