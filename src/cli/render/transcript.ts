import type { SessionEvent } from '../../sdk/index.ts';
import { renderChoices } from './permission.ts';
import { sanitize, sanitizeLine } from './sanitize.ts';
import type { Style } from './style.ts';
import {
  changedPaths,
  hasEnded,
  mergeToolCall,
  renderRequest,
  renderToolCall,
  titleOf,
  type ToolCall,
} from './tool-call.ts';
import { formatCount, formatDuration, plural } from './units.ts';
import { truncate } from './width.ts';

const again = ', conversation taken up again';

/**
 * A session's events as text for a person. Pure: `reduceTranscript` takes what is known and one event
 * and gives what is known now, the text to append, and the one line that says what is under way
 * (`status`), which a terminal shows at its bottom and a file never sees.
 *
 * Text comes in *blocks*: a prompt, agent text, a thought, tool calls, and so on, with one blank line
 * between blocks of different kind. Agent text and thoughts arrive in pieces and are appended as
 * they come; their line stays open until a block of another kind begins. A tool call is printed once,
 * when it has ended; until then it is the status line.
 */
export interface TranscriptState {
  readonly block: Block | null;
  /** The last line of the block has no line feed yet. */
  readonly open: boolean;
  /** Line feeds at the end of streamed text, held back until more of it comes. */
  readonly heldNewlines: number;
  readonly calls: Readonly<Record<string, ToolCall>>;
  readonly plan: string;
  readonly progress: string;
  readonly activity: string | null;
  readonly turnStartedAt: string | null;
  readonly changed: readonly string[];
  /** Names of the options of each open permission request, by request and option. */
  readonly asked: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

type Block = 'prompt' | 'text' | 'thought' | 'tool' | 'plan' | 'note' | 'permission' | 'end';

export interface TranscriptOptions {
  style: Style;
  width: number;
  /** The session's directory, left out of paths. */
  cwd: string | null;
  /** What to tell about a permission request: its keys to a person who is asked, else the command that answers it. */
  answerWith: 'keys' | 'command';
}

export interface TranscriptStep {
  state: TranscriptState;
  text: string;
  status: string | null;
}

export const emptyTranscript: TranscriptState = {
  block: null,
  open: false,
  heldNewlines: 0,
  calls: {},
  plan: '',
  progress: '',
  activity: null,
  turnStartedAt: null,
  changed: [],
  asked: {},
};

/** Lines of a permission request that are shown at most. */
const maxRequestLines = 20;

export function reduceTranscript(
  state: TranscriptState,
  event: SessionEvent,
  options: TranscriptOptions,
): TranscriptStep {
  const { style, width } = options;
  switch (event.type) {
    case 'session.created': {
      const { agent, repository, branch } = event.data;
      const parts = [`session ${event.sessionId}`, agent, repository, branch].filter((part) => part !== null);
      return note(state, style.dim(parts.map(sanitizeLine).join(' · ')));
    }
    case 'session.status':
      return event.data.status === 'failed'
        ? note(state, style.red(`✗ session failed: ${sanitizeLine(event.data.reason ?? 'no reason given')}`))
        : unchanged(state);
    case 'turn.queued': {
      const { prompt, position, estimatedWaitSeconds } = event.data;
      const [first = '', ...rest] = sanitize(prompt.map(promptText).join('\n')).trimEnd().split('\n');
      const lines = [`${style.cyan('❯')} ${style.bold(first)}`, ...rest.map((line) => `  ${style.bold(line)}`)];
      const step = block(state, 'prompt', `${lines.join('\n')}\n`);
      if (position === 0) return activity(step, 'starting');
      const place = placeInQueue(position, estimatedWaitSeconds);
      // The next in line mostly starts at once: worth a glance at the status, not a line that stays.
      return activity(position === 1 ? step : join(step, note(step.state, style.dim(place))), place);
    }
    case 'turn.position': {
      const { position, estimatedWaitSeconds } = event.data;
      return position === 0 ? activity(unchanged(state), 'starting') : activity(unchanged(state), placeInQueue(position, estimatedWaitSeconds));
    }
    case 'progress': {
      const message = sanitizeLine(event.data.message) || sanitizeLine(event.data.stage);
      const percent = event.data.fraction === null ? '' : ` ${Math.round(event.data.fraction * 100)} %`;
      const step =
        message === state.progress ? unchanged(state) : note(state, style.dim(`· ${truncate(message, width - 2)}`));
      return activity({ ...step, state: { ...step.state, progress: message } }, message + percent);
    }
    case 'sandbox.status': {
      const { status, reason, provider } = event.data;
      if (status === 'running' || status === 'creating') return unchanged(state);
      const why = reason === null ? '' : `: ${sanitizeLine(reason)}`;
      return note(state, style.dim(`· sandbox ${sanitizeLine(status)} (${sanitizeLine(provider)})${why}`));
    }
    case 'egress.denied': {
      const { host, port } = event.data;
      const rule = sanitizeLine(port === 80 || port === 443 ? host : `${host}:${port}`);
      const how = style.dim(` berth egress allow ${event.sessionId} ${rule}`);
      return note(state, `${style.yellow(`! no way out to ${sanitizeLine(host)}:${port};`)}${how}`);
    }
    case 'egress.changed': {
      const { by, presets, allow } = event.data;
      const list = [...presets, ...allow].join(', ') || 'nothing';
      return note(state, style.dim(`· ${sanitizeLine(by)} lets it reach ${sanitizeLine(list)}`));
    }
    case 'agent.started': {
      const { agent, version, resumed } = event.data;
      const how = { new: '', load: again, resume: again, fork: ', with a copy of the conversation' }[resumed];
      const name = sanitizeLine([agent, version].filter(Boolean).join(' '));
      return note(state, style.dim(`· agent ${name} started${how}`));
    }
    case 'agent.exited': {
      const { exitCode, signal, stderrTail } = event.data;
      if (exitCode === 0) return unchanged(state);
      const tail = sanitize(stderrTail).trimEnd().split('\n').slice(-5).filter(Boolean);
      const head = style.yellow(
        `! the agent ended: ${signal === null ? `exit code ${exitCode}` : sanitizeLine(signal)}`,
      );
      return note(state, [head, ...tail.map((line) => `    ${style.dim(truncate(line, width - 4))}`)].join('\n'));
    }
    case 'agent.log': {
      const { level, message } = event.data;
      if (level !== 'warn' && level !== 'error') return unchanged(state);
      return note(state, style.dim(`! ${truncate(sanitizeLine(message), width - 2)}`));
    }
    case 'agent.config':
      return unchanged(state);
    case 'agent.update':
      return agentUpdate(state, event.data.update, options);
    case 'turn.started':
      return {
        ...unchanged({ ...state, turnStartedAt: event.at, changed: [], activity: 'working' }),
        status: 'working',
      };
    case 'turn.ended':
      return turnEnd(state, event, options);
    case 'permission.requested': {
      const { requestId, toolCall, options: choices } = event.data;
      const call = mergeToolCall(state.calls[toolCall.toolCallId], toolCall);
      const request = renderRequest(call, width - 4, options.cwd);
      const shown = request.slice(0, maxRequestLines).map((line) => `    ${line}`);
      if (request.length > shown.length) {
        shown.push(
          style.yellow(`    … ${plural(request.length - shown.length, 'more line')}: berth logs ${event.sessionId}`),
        );
      }
      const how =
        options.answerWith === 'keys'
          ? renderChoices(choices, style)
          : style.dim(`berth allow ${event.sessionId} ${sanitizeLine(requestId)}, or berth deny`);
      const lines = [
        `${style.yellow('?')} ${style.bold(`permission wanted: ${titleOf(call, options.cwd)}`)}`,
        ...shown,
        `  ${how}`,
      ];
      const names = Object.fromEntries(choices.map((choice) => [choice.optionId, sanitizeLine(choice.name)]));
      const step = block(
        { ...state, asked: { ...state.asked, [requestId]: names } },
        'permission',
        `${lines.join('\n')}\n`,
      );
      return activity(step, 'waiting for permission');
    }
    case 'permission.resolved': {
      const { requestId, outcome, optionId, by } = event.data;
      const { [requestId]: names, ...asked } = state.asked;
      const said =
        outcome === 'selected'
          ? (names?.[optionId ?? ''] ?? sanitizeLine(optionId ?? ''))
          : outcome === 'expired'
            ? 'refused: no answer in time'
            : 'cancelled';
      const who = by === null ? '' : ` (${sanitizeLine(by)})`;
      const step = append({ ...state, asked }, 'permission', `  ${style.dim(`→ ${said}${who}`)}\n`);
      return activity(step, 'working');
    }
    case 'git.committed':
      return note(
        state,
        `${style.green('●')} committed ${event.data.sha.slice(0, 10)} ${truncate(sanitizeLine(event.data.subject), width - 24)}`,
      );
    case 'git.pushed':
      return note(
        state,
        `${style.green('●')} pushed ${event.data.sha.slice(0, 10)} to ${sanitizeLine(event.data.branch)}`,
      );
    case 'git.refused':
      return note(
        state,
        `${style.yellow('●')} push refused: ${truncate(sanitizeLine(`${event.data.refs.join(', ')}: ${event.data.reason}`), width - 18)}`,
      );
    case 'snapshot.created':
      return note(state, `${style.dim('●')} snapshot ${sanitizeLine(event.data.name)}`);
    case 'task.pull_request':
      return note(state, `${style.green('●')} pull request #${event.data.number} ${sanitizeLine(event.data.url)}`);
    default:
      return unchanged(state);
  }
}

function placeInQueue(position: number, estimatedWaitSeconds: number): string {
  const wait = estimatedWaitSeconds > 0 ? `, about ${formatDuration(estimatedWaitSeconds * 1000)}` : '';
  return `waiting for a slot: place ${position}${wait}`;
}

function agentUpdate(
  state: TranscriptState,
  update: { sessionUpdate: string; [key: string]: unknown },
  options: TranscriptOptions,
): TranscriptStep {
  const { style, width, cwd } = options;
  switch (update.sessionUpdate) {
    case 'agent_message_chunk':
      return stream(state, 'text', textOf(update['content']), (text) => text);
    case 'agent_thought_chunk':
      return stream(state, 'thought', textOf(update['content']), (text) => style.dim(text));
    case 'tool_call':
    case 'tool_call_update': {
      const id = String(update['toolCallId']);
      const call = mergeToolCall(state.calls[id], update);
      if (!hasEnded(call)) {
        const known = { ...state, calls: { ...state.calls, [id]: call } };
        return activity(unchanged(known), titleOf(call, cwd));
      }
      // A late update of a call that has been printed: nothing new for a person.
      if (state.calls[id] !== undefined && hasEnded(state.calls[id])) return unchanged(state);
      const known = {
        ...state,
        calls: { ...state.calls, [id]: call },
        changed: [...new Set([...state.changed, ...changedPaths(call)])],
      };
      return activity(append(known, 'tool', renderToolCall(call, style, width, cwd)), 'working');
    }
    case 'plan': {
      const text = planText(update['entries'], options);
      return text === '' || text === state.plan ? unchanged(state) : block({ ...state, plan: text }, 'plan', text);
    }
    case 'current_mode_update':
      return note(state, style.dim(`· mode ${sanitizeLine(String(update['currentModeId']))}`));
    case 'notice': {
      const text = [update['title'], update['description']].filter((part) => typeof part === 'string').join(': ');
      return note(state, style.yellow(`! ${sanitizeLine(text)}`));
    }
    default:
      return unchanged(state);
  }
}

function turnEnd(
  state: TranscriptState,
  event: Extract<SessionEvent, { type: 'turn.ended' }>,
  { style, width, cwd }: TranscriptOptions,
): TranscriptStep {
  const { outcome, stopReason, usage, error } = event.data;
  let step = unchanged(state);
  // Calls that never ended would otherwise be lost from the transcript.
  for (const call of Object.values(state.calls)) {
    if (!hasEnded(call)) step = join(step, append(step.state, 'tool', renderToolCall(call, style, width, cwd)));
  }
  const took = state.turnStartedAt === null ? null : Date.parse(event.at) - Date.parse(state.turnStartedAt);
  const tokens = usage?.totalTokens ?? (usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0);
  const after = took === null ? '' : ` after ${formatDuration(took)}`;
  const head = {
    completed: `${style.green('✔')} done${took === null ? '' : ` in ${formatDuration(took)}`}`,
    cancelled: `${style.yellow('■')} interrupted${after}`,
    failed: `${style.red('✗')} failed${after}`,
  }[outcome];
  const facts = [
    head,
    tokens > 0 ? `${formatCount(tokens)} tokens` : null,
    state.changed.length > 0 ? `${plural(state.changed.length, 'file')} changed` : null,
    stopReason !== null && !['end_turn', 'cancelled'].includes(stopReason)
      ? `stopped: ${sanitizeLine(stopReason)}`
      : null,
  ].filter((fact) => fact !== null);
  const why = error === null ? '' : `  ${style.red(`${sanitizeLine(error.message)} (${sanitizeLine(error.code)})`)}\n`;
  const end = block(
    { ...step.state, calls: {}, activity: null, turnStartedAt: null },
    'end',
    `${facts.join(' · ')}\n${why}`,
  );
  return { ...join(step, end), status: null };
}

const planGlyphs: Record<string, string> = { completed: '✔', in_progress: '▸' };

function planText(entries: unknown, { style, width }: TranscriptOptions): string {
  if (!Array.isArray(entries)) return '';
  return entries
    .filter((entry): entry is { content?: unknown; status?: unknown } => typeof entry === 'object' && entry !== null)
    .map((entry) => {
      const status = String(entry.status);
      const line = `${planGlyphs[status] ?? '○'} ${truncate(sanitizeLine(String(entry.content)), width - 4)}`;
      return `  ${status === 'completed' ? style.dim(line) : status === 'in_progress' ? style.bold(line) : line}\n`;
    })
    .join('');
}

function promptText(part: { type: string; [key: string]: unknown }): string {
  if (part.type === 'text') return String(part['text']);
  return `[${part.type}${typeof part['name'] === 'string' ? ` ${part['name']}` : ''}]`;
}

function textOf(content: unknown): string {
  const part = content as { type?: unknown; text?: unknown } | null;
  if (part?.type === 'text' && typeof part.text === 'string') return sanitize(part.text);
  return typeof part?.type === 'string' ? `[${sanitizeLine(part.type)}]` : '';
}

/** Text that arrives in pieces: appended to the open block, its last line feeds held back. */
function stream(
  state: TranscriptState,
  kind: 'text' | 'thought',
  piece: string,
  paint: (text: string) => string,
): TranscriptStep {
  const continues = state.block === kind && state.open;
  const bar = kind === 'thought' ? '│ ' : '';
  const whole = '\n'.repeat(continues ? state.heldNewlines : 0) + (continues ? piece : piece.replace(/^\s+/, ''));
  const body = whole.replace(/\n+$/, '');
  const held = whole.length - body.length;
  if (body === '') return activity(unchanged(continues ? { ...state, heldNewlines: held } : state), state.activity);
  const painted = paint(body.replaceAll('\n', `\n${bar}`));
  const lead = continues ? '' : separator(state, kind) + paint(bar);
  const next: TranscriptState = { ...state, block: kind, open: true, heldNewlines: held, activity: 'working' };
  return { state: next, text: lead + painted, status: 'working' };
}

/** A block of its own, apart from what came before. */
function block(state: TranscriptState, kind: Block, text: string): TranscriptStep {
  const apart = state.block === kind && !state.open ? '\n' : '';
  return written(state, kind, separator(state, kind) + apart + text);
}

/** Joins the block before when that is of the same kind. */
function append(state: TranscriptState, kind: Block, text: string): TranscriptStep {
  return written(state, kind, separator(state, kind) + text);
}

function note(state: TranscriptState, line: string): TranscriptStep {
  return append(state, 'note', `${line}\n`);
}

function written(state: TranscriptState, kind: Block, text: string): TranscriptStep {
  const next = { ...state, block: kind, open: false, heldNewlines: 0 };
  return { state: next, text, status: state.activity };
}

/** What ends an open line and sets blocks of different kind apart. */
function separator(state: TranscriptState, kind: Block): string {
  if (state.block === null) return '';
  return (state.open ? '\n' : '') + (state.block === kind && !state.open ? '' : '\n');
}

function unchanged(state: TranscriptState): TranscriptStep {
  return { state, text: '', status: state.activity };
}

function join(first: TranscriptStep, second: TranscriptStep): TranscriptStep {
  return { state: second.state, text: first.text + second.text, status: second.status };
}

function activity(step: TranscriptStep, what: string | null): TranscriptStep {
  return { ...step, state: { ...step.state, activity: what }, status: what };
}
