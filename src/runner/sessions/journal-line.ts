import type { JournalEvent, JournalEventData } from '../../protocol/events.ts';

/** What the journal needs to know of a line without parsing its data, which may be a megabyte. */
export interface LineHeader {
  seq: number;
  turnId: string | null;
  type: JournalEventData['type'];
}

/** The line of an event. The order of its keys is fixed: `readLineHeader` depends on it. */
export function formatLine(seq: number, at: Date, turnId: string | null, event: JournalEventData): string {
  return `${JSON.stringify({ seq, at: at.toISOString(), turnId, type: event.type, data: event.data })}\n`;
}

const headerPattern =
  /^\{"seq":(\d{1,15}),"at":"[0-9TZ:.+-]{20,40}","turnId":(null|"(?:[^"\\]|\\.){1,600}"),"type":"([a-z._]{1,40})","data":/;
/** The longest header: numbers, a time, an escaped turn id of 100 characters, a type. */
const maxHeaderBytes = 1024;

/** The header of a line written by `formatLine`, or `null` when it is not one. */
export function readLineHeader(line: Buffer): LineHeader | null {
  const match = headerPattern.exec(line.toString('utf8', 0, Math.min(line.length, maxHeaderBytes)));
  if (match === null) return null;
  return {
    seq: Number(match[1]),
    turnId: JSON.parse(match[2] ?? 'null') as string | null,
    type: match[3] as JournalEventData['type'],
  };
}

/** The whole event of a line, or `null` when it is not JSON. */
export function parseLine(line: Buffer): JournalEvent | null {
  try {
    return JSON.parse(line.toString('utf8')) as JournalEvent;
  } catch {
    return null;
  }
}
