import { posix } from 'node:path';
import { toolKind, type ToolKind } from '../../protocol/permission-policy.ts';
import { guestHome } from '../ports/sandbox-provider.ts';
import { parseArgv, parseCommand, type CommandPart } from './shell-command.ts';

/** What an agent asks to do, as far as it says; every word of it may be a lie, and the sandbox is what holds. */
export interface ToolRequest {
  kind: ToolKind;
  /** The tool's name where the agent tells it, else its title. */
  tool: string;
  /** Absolute and without `..`; `null` where one cannot be told for certain. */
  paths: readonly string[] | null;
  /** `null` for a tool that runs none. */
  command: { parts: readonly CommandPart[] | null } | null;
  cwd: string;
}

const pathFields = ['path', 'file_path', 'filePath', 'notebook_path', 'abs_path', 'old_path', 'new_path', 'source', 'destination', 'from', 'to'];
const maxPaths = 100;

/** Reads ACP's tool call of a permission request. */
export function readToolRequest(toolCall: Record<string, unknown>, cwd: string): ToolRequest {
  const input = asObject(toolCall['rawInput']);
  const command = commandOf(input);
  const named = toolKind.safeParse(toolCall['kind']);
  // Whatever it calls itself: what has a command runs it.
  const kind = command !== null ? 'execute' : named.success ? named.data : 'other';
  return {
    kind,
    tool: toolNameOf(toolCall),
    paths: pathsOf(toolCall, input, cwd),
    // One that runs something and does not say what.
    command: kind === 'execute' ? (command ?? { parts: null }) : null,
    cwd,
  };
}

function toolNameOf(toolCall: Record<string, unknown>): string {
  const meta = asObject(toolCall['_meta']);
  const named = [asObject(meta['claudeCode'])['toolName'], meta['toolName'], toolCall['title']];
  return (named.find((each) => typeof each === 'string') as string | undefined) ?? '';
}

function commandOf(input: Record<string, unknown>): ToolRequest['command'] {
  const { command, argv, cmd } = input;
  const given = command ?? argv ?? cmd;
  if (given === undefined) return null;
  if (typeof given === 'string') return { parts: parseCommand(given) };
  const isArgv = Array.isArray(given) && given.every((word) => typeof word === 'string');
  return { parts: isArgv ? parseArgv(given) : null };
}

function pathsOf(toolCall: Record<string, unknown>, input: Record<string, unknown>, cwd: string): string[] | null {
  const { locations } = toolCall;
  const found: unknown[] = pathFields.map((field) => input[field]).filter((value) => value !== undefined);
  if (Array.isArray(locations)) found.push(...locations.map((location) => asObject(location)['path']));
  else if (locations !== undefined && locations !== null) return null;
  if (found.length > maxPaths || !found.every((path) => typeof path === 'string')) return null;
  return found.map((path) => absolutePathOf(path as string, cwd));
}

/** As the sandbox would have it, its symbolic links aside. */
export function absolutePathOf(path: string, cwd: string): string {
  const expanded = path === '~' || path.startsWith('~/') ? guestHome + path.slice(1) : path;
  return posix.resolve(cwd, expanded);
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
