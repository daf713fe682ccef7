import { z } from 'zod';
import { sanitize, sanitizeLine } from './sanitize.ts';
import type { Style } from './style.ts';
import { plural } from './units.ts';
import { truncate } from './width.ts';

/**
 * A tool call as ACP sends it, read leniently: agents leave fields out, and a later update carries
 * only what changed. Source: agentclientprotocol.com, "Tool Calls".
 */
const toolCallFields = z.object({
  title: z.string().nullish().catch(null),
  kind: z.string().nullish().catch(null),
  status: z.string().nullish().catch(null),
  content: z
    .array(z.looseObject({ type: z.string() }))
    .nullish()
    .catch(null),
  rawInput: z.unknown().optional(),
});

export interface ToolCall {
  title: string;
  kind: string;
  status: string;
  content: readonly Record<string, unknown>[];
  rawInput: unknown;
}

const blank: ToolCall = { title: 'tool call', kind: 'other', status: 'pending', content: [], rawInput: undefined };

/** Lines of output that are shown; the rest is folded into a count. */
const shownLines = 3;

/** What is known of a tool call after one more message about it. */
export function mergeToolCall(known: ToolCall | undefined, message: unknown): ToolCall {
  const before = known ?? blank;
  const parsed = toolCallFields.safeParse(message);
  if (!parsed.success) return before;
  const { title, kind, status, content, rawInput } = parsed.data;
  return {
    title: title ?? before.title,
    kind: kind ?? before.kind,
    status: status ?? before.status,
    content: content ?? before.content,
    rawInput: rawInput ?? before.rawInput,
  };
}

export function hasEnded(call: ToolCall): boolean {
  return call.status === 'completed' || call.status === 'failed';
}

/** Files that a call's diffs name. */
export function changedPaths(call: ToolCall): string[] {
  return call.content.flatMap((part) =>
    part['type'] === 'diff' && typeof part['path'] === 'string' ? [part['path']] : [],
  );
}

/** One line with status and title, then the first lines of what came out. */
export function renderToolCall(call: ToolCall, style: Style, width: number, cwd: string | null): string {
  const glyph =
    call.status === 'completed' ? style.green('✔') : call.status === 'failed' ? style.red('✗') : style.dim('◌');
  const lines = [`${glyph} ${truncate(titleOf(call, cwd), width - 2)}`];
  for (const line of resultLines(call, cwd)) lines.push(`    ${style.dim(truncate(line, width - 4))}`);
  return `${lines.join('\n')}\n`;
}

export function titleOf(call: ToolCall, cwd: string | null): string {
  return shorten(sanitizeLine(call.title), cwd) || 'tool call';
}

/**
 * What a person must see before saying yes: the command in full, or the diff's size. Never folded to
 * less than what will run; the caller only limits how many lines of it are shown.
 */
export function renderRequest(call: ToolCall, width: number, cwd: string | null): string[] {
  const command = (call.rawInput as { command?: unknown } | null | undefined)?.command;
  const text = Array.isArray(command) ? command.join(' ') : typeof command === 'string' ? command : null;
  const lines: string[] = [];
  if (text !== null && sanitizeLine(text) !== sanitizeLine(call.title).replace(/^`|`$/g, '')) {
    lines.push(
      ...sanitize(text)
        .split('\n')
        .map((line) => `$ ${line}`),
    );
  }
  lines.push(...diffLines(call, cwd));
  return lines.flatMap((line) => chunk(line, width));
}

function resultLines(call: ToolCall, cwd: string | null): string[] {
  const output = call.content
    .flatMap((part) => {
      const text = (part['content'] as { text?: unknown } | undefined)?.text;
      return part['type'] === 'content' && typeof text === 'string' ? sanitize(text).split('\n') : [];
    })
    // Agents wrap command output in Markdown fences.
    .filter((line) => !/^\s*```\w*\s*$/.test(line))
    .map((line) => line.replace(/\t/g, '    ').trimEnd());
  while (output[0] === '') output.shift();
  while (output.at(-1) === '') output.pop();
  const folded =
    // Folding away a single line would take as much room as showing it.
    output.length <= shownLines + 1
      ? output
      : [...output.slice(0, shownLines), `… ${plural(output.length - shownLines, 'more line')}`];
  return [...diffLines(call, cwd), ...folded];
}

function diffLines(call: ToolCall, cwd: string | null): string[] {
  return call.content.flatMap((part) => {
    if (part['type'] !== 'diff' || typeof part['path'] !== 'string') return [];
    const before = typeof part['oldText'] === 'string' ? part['oldText'] : '';
    const after = typeof part['newText'] === 'string' ? part['newText'] : '';
    const { added, removed } = lineDelta(before, after);
    return [`${shorten(sanitizeLine(part['path']), cwd)}  +${added} -${removed}`];
  });
}

/** Lines added and removed between what both texts have in common at their start and end. */
function lineDelta(before: string, after: string): { added: number; removed: number } {
  const old = before === '' ? [] : before.replace(/\n$/, '').split('\n');
  const now = after === '' ? [] : after.replace(/\n$/, '').split('\n');
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  return { added: now.length - start - end, removed: old.length - start - end };
}

function shorten(text: string, cwd: string | null): string {
  return cwd === null || cwd === '/' ? text : text.replaceAll(`${cwd}/`, '');
}

function chunk(line: string, width: number): string[] {
  const out: string[] = [];
  for (let at = 0; at < Math.max(1, line.length); at += width) out.push(line.slice(at, at + width));
  return out;
}
