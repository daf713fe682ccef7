import type { EventError } from '../../protocol/events.ts';
import type { TaskRecord } from '../ports/store.ts';

const maxAnswerCharacters = 50_000;

/** Marks our comment for a trigger, so that a crash between writing it and storing its id does not write a second. */
export function commentMarker(task: TaskRecord): string {
  return `<!-- berth:${task.id}:${task.trigger.kind}:${task.trigger.id} -->`;
}

export function workingComment(task: TaskRecord, agentTitle: string): string {
  return `${commentMarker(task)}\n${agentTitle} is working on this.${sessionLine(task)}`;
}

export function pullRequestComment(task: TaskRecord, pull: { number: number; url: string }, sha: string, opened: boolean): string {
  const what = opened ? `Opened #${pull.number}` : `Pushed ${sha.slice(0, 12)} to #${pull.number}`;
  return `${commentMarker(task)}\n${what}: ${pull.url}${sessionLine(task)}`;
}

export function answerComment(task: TaskRecord, answer: string): string {
  const text = answer.trim() === '' ? 'The agent made no change and gave no answer.' : quiet(answer.trim());
  return `${commentMarker(task)}\nNo change was made. The answer:\n\n${text.slice(0, maxAnswerCharacters)}${sessionLine(task)}`;
}

export function failureComment(task: TaskRecord, error: EventError): string {
  return `${commentMarker(task)}\nThis did not work: ${quiet(error.message)} (\`${error.code}\`). Comment again to retry.${sessionLine(task)}`;
}

/** An agent's words must not notify people or close other issues in our name. */
function quiet(text: string): string {
  return text
    .replaceAll(/@(?=[A-Za-z0-9])/g, '@\u200b')
    .replaceAll(/\b(fix(?:e[sd])?|close[sd]?|resolve[sd]?)(:?\s+)(?=(?:[\w.-]+\/[\w.-]+)?#\d)/gi, '$1$2\u200b')
    .replaceAll('<!--', '&lt;!--');
}

function sessionLine(task: TaskRecord): string {
  return task.sessionId === null ? '' : `\n\n<sub>session ${task.sessionId}</sub>`;
}
