import { z } from 'zod';
import { sanitize, sanitizeLine } from '../../../src/protocol/inert-text.ts';

/**
 * A tool call as ACP sends it, read leniently: agents leave fields out, and a later update carries only what changed.
 * Source: agentclientprotocol.com, "Tool Calls".
 */
const fields = z.object({
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

export interface FileEdit {
  path: string;
  before: string;
  after: string;
}

const blank: ToolCall = { title: '', kind: 'other', status: 'pending', content: [], rawInput: undefined };

export function mergeToolCall(known: ToolCall | undefined, message: unknown): ToolCall {
  const before = known ?? blank;
  const parsed = fields.safeParse(message);
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

export function titleOfCall(call: ToolCall, cwd: string | null): string {
  return shorten(sanitizeLine(call.title), cwd) || 'tool call';
}

export function shorten(text: string, cwd: string | null): string {
  return cwd === null || cwd === '/' ? text : text.replaceAll(`${cwd}/`, '');
}

export function editsOf(call: ToolCall): FileEdit[] {
  return call.content.flatMap((part) =>
    part['type'] === 'diff' && typeof part['path'] === 'string'
      ? [{ path: part['path'], before: textOr(part['oldText']), after: textOr(part['newText']) }]
      : [],
  );
}

export function outputOf(call: ToolCall): string {
  return call.content
    .flatMap((part) => {
      const text = (part['content'] as { text?: unknown } | null | undefined)?.text;
      return part['type'] === 'content' && typeof text === 'string' ? [withoutFence(sanitize(text))] : [];
    })
    .join('\n');
}

export function imagesOf(call: ToolCall): { mimeType: string; data: string }[] {
  return call.content.flatMap((part) => {
    const image = part['type'] === 'content' ? imageIn(part['content']) : null;
    return image === null ? [] : [image];
  });
}

/** A picture of a kind that cannot hold a script. */
export function imageIn(content: unknown): { mimeType: string; data: string } | null {
  const part = content as { type?: unknown; mimeType?: unknown; data?: unknown } | null;
  if (part?.type !== 'image' || typeof part.mimeType !== 'string' || typeof part.data !== 'string') return null;
  if (!/^image\/(png|jpeg|gif|webp)$/.test(part.mimeType) || !/^[A-Za-z0-9+/=\s]*$/.test(part.data)) return null;
  return { mimeType: part.mimeType, data: part.data };
}

/** The command that will run, in full; `null` where the title says all. */
export function commandOf(call: ToolCall): string | null {
  const command = (call.rawInput as { command?: unknown } | null | undefined)?.command;
  const text = Array.isArray(command) ? command.join(' ') : typeof command === 'string' ? command : null;
  return text === null ? null : sanitize(text);
}

/** What goes in besides the command, for who wants to see all before saying yes. */
export function inputOf(call: ToolCall): string | null {
  if (call.rawInput === undefined || call.rawInput === null) return null;
  return sanitize(JSON.stringify(call.rawInput, null, 2) ?? '');
}

/** Agents wrap a command's output in a Markdown fence. */
function withoutFence(text: string): string {
  const match = /^\s*```[\w-]*\n([\s\S]*?)\n?```\s*$/.exec(text);
  return match?.[1] ?? text;
}

function textOr(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
