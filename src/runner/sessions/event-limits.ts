import type { AgentUpdate, JournalEventData } from '../../protocol/events.ts';
import { maxJournalLineBytes } from '../../protocol/runner-api.ts';

/** No line of the journal is longer. */
export const maxEventBytes = maxJournalLineBytes;
/** No text inside an event is longer; its middle is cut, since errors stand at the end of an output. */
export const maxTextLength = 256 * 1024;
/** Room for `seq`, time, turn and type beside an event's data. */
const envelopeBytes = 2048;
const maxDepth = 32;

/** The event, cut where it is too large for the journal. Every cut leaves a marker. */
export function limitEvent(event: JournalEventData): JournalEventData {
  let limited = event;
  for (let length = maxTextLength; length >= 1024; length = Math.floor(length / 8)) {
    limited = { ...event, data: cutValue(event.data, length, 0) } as JournalEventData;
    if (sizeOf(limited) <= maxEventBytes - envelopeBytes) return limited;
  }
  return withoutPayload(limited, sizeOf(event));
}

/** Text chunks are split instead of cut: together they are the agent's answer. */
export function splitChunk(update: AgentUpdate): AgentUpdate[] {
  const content = update['content'] as { type?: unknown; text?: unknown } | undefined;
  const text = content?.text;
  if (!update.sessionUpdate.endsWith('_chunk') || typeof text !== 'string' || text.length <= maxTextLength)
    return [update];
  const parts: AgentUpdate[] = [];
  for (let start = 0; start < text.length;) {
    const part = safeSlice(text, start, start + maxTextLength);
    parts.push({ ...update, content: { ...content, text: part } });
    start += part.length;
  }
  return parts;
}

/** The text with its middle replaced by a marker when it is longer than `maxLength`. */
export function cutText(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const half = Math.floor(maxLength / 2);
  const head = safeSlice(text, 0, half);
  const tail = text.slice(text.length - half).replace(/^[\uDC00-\uDFFF]/, '');
  return `${head}\n[... ${text.length - head.length - tail.length} characters cut by Berth ...]\n${tail}`;
}

/** A slice that does not end inside a surrogate pair. Never empty for a non-empty range. */
function safeSlice(text: string, start: number, end: number): string {
  const code = text.charCodeAt(end - 1);
  const insidePair = end < text.length && code >= 0xd800 && code <= 0xdbff && end - start > 1;
  return text.slice(start, insidePair ? end - 1 : end);
}

function cutValue(value: unknown, maxLength: number, depth: number): unknown {
  if (typeof value === 'string') return cutText(value, maxLength);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= maxDepth) return '[nested too deep]';
  if (Array.isArray(value)) return value.map((item) => cutValue(item, maxLength, depth + 1));
  const record = value as Record<string, unknown>;
  if (isBinaryBlock(record) && record.data.length > maxLength) {
    return { type: 'text', text: `[${record.type} of ${record.data.length} base64 characters left out by Berth]` };
  }
  return Object.fromEntries(Object.entries(record).map(([key, item]) => [key, cutValue(item, maxLength, depth + 1)]));
}

function isBinaryBlock(record: Record<string, unknown>): record is { type: string; data: string } {
  return (record['type'] === 'image' || record['type'] === 'audio') && typeof record['data'] === 'string';
}

/** What is left of an event whose size is in its structure: ids and statuses, which readers depend on. */
function withoutPayload(event: JournalEventData, sizeBytes: number): JournalEventData {
  const note = `[${sizeBytes} bytes left out by Berth]`;
  if (event.type === 'agent.update') {
    const { sessionUpdate, toolCallId, status, kind } = event.data.update;
    const tool =
      typeof toolCallId === 'string' ? { toolCallId: toolCallId.slice(0, 1024), title: note, status, kind } : { note };
    return { type: 'agent.update', data: { update: { sessionUpdate: sessionUpdate.slice(0, 200), ...tool } } };
  }
  if (event.type === 'permission.requested') {
    const { toolCallId } = event.data.toolCall;
    return { ...event, data: { ...event.data, toolCall: { toolCallId: toolCallId.slice(0, 1024), title: note } } };
  }
  if (event.type === 'agent.config') {
    return { ...event, data: { modeId: event.data.modeId, modes: event.data.modes.slice(0, 100), options: [] } };
  }
  return { type: 'agent.log', data: { level: 'warn', message: `an event ${event.type} was too large ${note}` } };
}

function sizeOf(event: JournalEventData): number {
  return Buffer.byteLength(JSON.stringify(event.data));
}
