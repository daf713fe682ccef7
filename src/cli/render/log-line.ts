import type { SessionEvent } from '../../sdk/index.ts';
import { sanitizeLine } from './sanitize.ts';
import type { Style } from './style.ts';
import { padEnd, truncate } from './width.ts';

/** One event on one line: number, time, type and the gist of its data. */
export function renderLogLine(event: SessionEvent, style: Style, width: number): string {
  const head = `${String(event.seq).padStart(5)}  ${event.at.slice(11, 19)}  `;
  const type = padEnd(sanitizeLine(event.type), 21);
  const room = Math.max(20, width - head.length - type.length - 1);
  return `${style.dim(head)}${style.cyan(type)} ${truncate(gist(event), room)}`.trimEnd();
}

function gist(event: SessionEvent): string {
  if (event.type === 'agent.update') {
    const { sessionUpdate, title, status, content, toolCallId } = event.data.update;
    const text = (content as { text?: unknown } | undefined)?.text;
    const rest = [status, title ?? text ?? toolCallId].filter((part) => typeof part === 'string');
    return sanitizeLine([sessionUpdate, ...rest].join('  '));
  }
  if (event.type === 'turn.queued') {
    return sanitizeLine(
      event.data.prompt.map((part) => (typeof part['text'] === 'string' ? part['text'] : part.type)).join(' '),
    );
  }
  return sanitizeLine(
    Object.entries(event.data)
      .filter(([, value]) => value !== null && value !== '')
      .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
      .join(' '),
  );
}
