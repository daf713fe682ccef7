import type { PermissionAnswerKind, PermissionRule } from '../../protocol/permission-policy.ts';
import { fitsPattern } from './patterns.ts';
import { programOf, type CommandPart } from './shell-command.ts';
import { absolutePathOf, type ToolRequest } from './tool-request.ts';

export interface Judgement {
  answer: PermissionAnswerKind;
  /** The rule that it is by; `null`: none is about it. */
  rule: string | null;
}

const strictness: Record<PermissionAnswerKind, number> = { allow: 0, ask: 1, deny: 2 };
/** Where a command may read from and write to by redirection without being asked for it, beside the working directory. */
const harmless = ['/dev/null', '/tmp/**'];

/**
 * What the rules say to a request. Of those that fit it one that denies wins, else the first; where none fits a person is
 * asked. A command line is as many requests as it has programs, and the strictest answer is the one to all.
 *
 * `allow` is taken narrowly and the others widely: what is allowed must be understood whole and fit in every place, what is
 * denied or asked need fit in one.
 */
export function judgeRequest(rules: readonly PermissionRule[], request: ToolRequest): Judgement {
  if (request.command === null) return judgeOne(rules, request, null);
  const { parts } = request.command;
  // Not understood: rules that need no understanding may still deny it.
  if (parts === null) return strictest([judgeOne(rules, request, null), { answer: 'ask', rule: null }]);
  const [first] = parts;
  const moved = first?.words[0] === 'cd' ? absolutePathOf(first.words[1]!, request.cwd) : request.cwd;
  return strictest(parts.map((part) => judgeOne(rules, request, { ...part, cwd: part === first ? request.cwd : moved })));
}

function strictest(judgements: readonly Judgement[]): Judgement {
  return judgements.reduce((found, each) => (strictness[each.answer] > strictness[found.answer] ? each : found));
}

/** With the directory that it runs in. */
type PlacedPart = CommandPart & { cwd: string };

function judgeOne(rules: readonly PermissionRule[], request: ToolRequest, part: PlacedPart | null): Judgement {
  const fitting = rules.filter((rule) => fits(rule, request, part));
  const rule = fitting.find(({ answer }) => answer === 'deny') ?? fitting[0];
  return rule === undefined ? { answer: 'ask', rule: null } : { answer: rule.answer, rule: rule.name };
}

function fits({ answer, kinds, tools, paths, commands }: PermissionRule, request: ToolRequest, part: PlacedPart | null): boolean {
  const { kind, tool, cwd } = request;
  const isAllow = answer === 'allow';
  if (kinds !== undefined && !kinds.includes(kind)) return false;
  if (tools !== undefined && !tools.some((pattern) => fitsPattern(pattern, tool))) return false;
  if (isAllow && kind === 'execute' && (part === null || !staysNear(part, cwd))) return false;
  if (commands !== undefined) {
    if (part === null) return false;
    if (!commands.some((pattern) => (isAllow ? isCommand(pattern, part) : hasCommand(pattern, part)))) return false;
  }
  if (paths !== undefined) {
    const fitsPath = (path: string): boolean => paths.some((pattern) => fitsPattern(absolutePattern(pattern, cwd), path, '/'));
    const named = request.paths === null ? null : [...request.paths, ...(part === null ? [] : pathsOfCommand(part))];
    // A path that cannot be told may be any.
    if (named === null) return !isAllow;
    return isAllow ? named.length > 0 && named.every(fitsPath) : named.some(fitsPath);
  }
  return true;
}

/** Word for word, the program by the name that the pattern says. */
function isCommand(pattern: string, { words }: CommandPart): boolean {
  const patterns = pattern.split(' ').filter((word) => word !== '');
  const hasRest = patterns.length > 1 && patterns.at(-1) === '*';
  const fixed = hasRest ? patterns.slice(0, -1) : patterns;
  if (patterns.length === 1 && patterns[0] === '*') return true;
  if (hasRest ? words.length < fixed.length : words.length !== fixed.length) return false;
  return fixed.every((word, index) => fitsPattern(word, words[index]!));
}

/** The program, wherever it lies, and the other words of the pattern in their order, whatever is between them. */
function hasCommand(pattern: string, { words }: CommandPart): boolean {
  const [program = '*', ...rest] = pattern.split(' ').filter((word) => word !== '');
  const [first = '', ...args] = words;
  if (!fitsPattern(program, first) && !fitsPattern(program, programOf(first))) return false;
  let at = 0;
  return rest
    .filter((word) => word !== '*')
    .every((word) => {
      while (at < args.length && !fitsPattern(word, args[at]!)) at += 1;
      at += 1;
      return at <= args.length;
    });
}

/** Arguments that look like paths. */
function pathsOfCommand({ words, redirections, cwd }: PlacedPart): string[] {
  const args = words.slice(1).filter((word) => !word.startsWith('-'));
  return [...args, ...redirections].map((word) => absolutePathOf(word, cwd));
}

function staysNear({ redirections, cwd }: PlacedPart, workspace: string): boolean {
  return redirections.every((target) => {
    const path = absolutePathOf(target, cwd);
    return [...harmless, `${workspace}/**`].some((pattern) => fitsPattern(pattern, path, '/'));
  });
}

function absolutePattern(pattern: string, cwd: string): string {
  if (pattern.startsWith('/') || pattern.startsWith('**')) return pattern;
  return pattern.startsWith('~/') ? absolutePathOf(pattern, cwd) : `${cwd}/${pattern}`;
}
