import type { IncomingMessage } from 'node:http';
import type { JournalEntry, JournalStream } from '../../core/ports/runner.ts';
import { journalEvent, type JournalEvent } from '../../protocol/events.ts';
import { journalHead, maxJournalGap, maxJournalLineBytes } from '../../protocol/runner-api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { parseShallowJson } from '../../protocol/shallow-json.ts';
import { badAnswer, transportFailure } from './failure.ts';
import { readLines, type LineLimits } from './lines.ts';

/** Reads the journal's head and hands on its events. The stream ends by `signal` or by a failure only. */
export async function readJournal(
  response: IncomingMessage,
  from: number,
  { silenceMs }: Pick<LineLimits, 'silenceMs'>,
  signal: AbortSignal,
): Promise<JournalStream> {
  const limits = { maxLineBytes: maxJournalLineBytes, silenceMs };
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
): AsyncGenerator<JournalEntry> {
  let seq = from;
  try {
    for await (const line of lines) {
      const event = toEvent(line, seq + 1);
      if (event.seq <= seq || event.seq - seq > maxJournalGap + 1) {
        throw badAnswer(`journal entry ${event.seq} after ${seq}`);
      }
      seq = event.seq;
      yield { event, sizeBytes: Buffer.byteLength(line) };
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
  const problem = event.success ? unstorable(event.data) : (event.error.issues[0]?.message ?? 'ill-formed');
  if (event.success && problem === null) return event.data;
  const record = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const { seq, turnId, type } = record;
  return {
    seq: Number.isSafeInteger(seq) && (seq as number) > 0 ? (seq as number) : expectedSeq,
    at: new Date().toISOString(),
    turnId: typeof turnId === 'string' && isName(turnId) ? turnId : null,
    type: 'agent.log',
    data: {
      level: 'warn',
      message: `unreadable journal entry${typeof type === 'string' ? ` of type ${type.slice(0, 100)}` : ''}: ${problem}`,
    },
  };
}

/** What the store keeps in columns of their own. */
const names = ['agent', 'acpSessionId', 'modeId', 'requestId', 'optionId', 'by', 'stopReason', 'expiresAt'] as const;
const maxNameLength = 1024;
/** The runner nests no deeper than 32; at some depth there is no writing it as JSON again. */
const maxDepth = 64;

/** Why an event of the right form must not reach the store, or `null`. */
function unstorable(event: JournalEvent): string | null {
  const data: Partial<Record<string, unknown>> = event.data;
  const badName = names.find((name) => typeof data[name] === 'string' && !isName(data[name]));
  if (badName !== undefined) return `${badName} is no name`;
  if (event.turnId !== null && !isName(event.turnId)) return 'turnId is no name';
  return isDeeperThan(data, maxDepth) ? 'nested too deep' : null;
}

/** A NUL is nothing that every database takes. */
function isName(text: string): boolean {
  return text.length <= maxNameLength && !text.includes('\0');
}

function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((each) => isDeeperThan(each, depth - 1));
}

/** `undefined` for what is not JSON. */
function parse(line: string): unknown {
  try {
    return parseShallowJson(line);
  } catch {
    return undefined;
  }
}
