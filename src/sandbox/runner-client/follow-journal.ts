import type { IncomingMessage } from 'node:http';
import type { JournalStream } from '../../core/ports/runner.ts';
import { journalEvent, type JournalEvent } from '../../protocol/events.ts';
import { journalHead } from '../../protocol/runner-api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { badAnswer, transportFailure } from './failure.ts';
import { readLines, type LineLimits } from './lines.ts';

/** Reads the journal's head and hands on its events. The stream ends by `signal` or by a failure only. */
export async function readJournal(
  response: IncomingMessage,
  from: number,
  limits: LineLimits,
  signal: AbortSignal,
): Promise<JournalStream> {
  const lines = readLines(response as AsyncIterable<Uint8Array>, limits);
  try {
    const first = await lines.next();
    if (first.done === true) throw new BerthError('sandbox_lost', 'the journal ended before it began');
    const head = journalHead.safeParse(parse(first.value));
    if (!head.success) throw badAnswer('an ill-formed journal head', head.error);
    return { ...head.data, events: readEvents(response, lines, from, signal) };
  } catch (error) {
    response.destroy();
    throw transportFailure(error, signal);
  }
}

async function* readEvents(
  response: IncomingMessage,
  lines: AsyncIterable<string>,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<JournalEvent> {
  let seq = from;
  try {
    for await (const line of lines) {
      const event = toEvent(line, seq + 1);
      seq = event.seq;
      yield event;
    }
  } catch (error) {
    throw transportFailure(error, signal);
  } finally {
    response.destroy();
  }
  throw transportFailure(new BerthError('sandbox_lost', 'the journal stream ended'), signal);
}

/**
 * One line as an event. A journal that holds something unknown (an agent's doing, or a newer runner's) must stay readable
 * and without gaps: such a line becomes a warning in its place.
 */
export function toEvent(line: string, expectedSeq: number): JournalEvent {
  const value = parse(line);
  const event = journalEvent.safeParse(value);
  if (event.success) return event.data;
  const record = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const { seq, turnId, type } = record;
  return {
    seq: Number.isSafeInteger(seq) && (seq as number) > 0 ? (seq as number) : expectedSeq,
    at: new Date().toISOString(),
    turnId: typeof turnId === 'string' ? turnId : null,
    type: 'agent.log',
    data: {
      level: 'warn',
      message: `unreadable journal entry${typeof type === 'string' ? ` of type ${type.slice(0, 100)}` : ''}: ${event.error.issues[0]?.message ?? 'ill-formed'}`,
    },
  };
}

/** `undefined` for what is not JSON. */
function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
