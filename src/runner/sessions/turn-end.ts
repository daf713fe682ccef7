import { asBerthError } from '../../protocol/errors.ts';
import type { JournalEventData, TurnOutcome, Usage } from '../../protocol/events.ts';

export type TurnEnd = Extract<JournalEventData, { type: 'turn.ended' }>;

const maxMessageLength = 4000;

/** The end of a turn that the agent answered. Any stop reason but `cancelled` means that it did what it could. */
export function endFromAnswer(answer: Record<string, unknown>): TurnEnd {
  const stopReason = typeof answer['stopReason'] === 'string' ? answer['stopReason'] : null;
  const outcome: TurnOutcome = stopReason === 'cancelled' ? 'cancelled' : 'completed';
  return { type: 'turn.ended', data: { outcome, stopReason, usage: toUsage(answer['usage']), error: null } };
}

export function endCancelled(): TurnEnd {
  return { type: 'turn.ended', data: { outcome: 'cancelled', stopReason: null, usage: null, error: null } };
}

export function endFailed(thrown: unknown): TurnEnd {
  const { code, message } = asBerthError(thrown);
  const error = { code, message: message.slice(0, maxMessageLength) };
  return { type: 'turn.ended', data: { outcome: 'failed', stopReason: null, usage: null, error } };
}

/** Token counts, where the agent gives any; not every agent does. */
function toUsage(value: unknown): Usage | null {
  if (typeof value !== 'object' || value === null) return null;
  const { inputTokens, outputTokens, totalTokens } = value as Record<string, unknown>;
  const counts = Object.entries({ inputTokens, outputTokens, totalTokens }).filter(
    ([, count]) => typeof count === 'number',
  );
  return counts.length === 0 ? null : (Object.fromEntries(counts) as Usage);
}
