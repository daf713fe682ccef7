import { sanitize, sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { SessionEvent, SessionStatus } from '../../../src/sdk/index.ts';
import { duration } from '../ui/time.ts';
import type { Item, PlanEntry, PromptPart, QueuePlace } from './items.ts';
import { hasEnded, imageIn, mergeToolCall, type ToolCall } from './tool-call.ts';

/** What is known beside the conversation itself. */
export interface Facts {
  status: SessionStatus | null;
  statusReason: string | null;
  /** The turn that runs, and since when. */
  turn: { id: string | null; startedAt: string } | null;
  queue: QueuePlace | null;
  progress: { message: string; fraction: number | null } | null;
  modeId: string | null;
  modes: readonly { id: string; name: string }[];
  options: readonly ConfigOption[];
  commands: readonly { name: string; description: string }[];
  context: { used: number; size: number } | null;
  title: string | null;
  /** Goes up when files may have changed. */
  workspaceVersion: number;
  commits: readonly { sha: string; subject: string; branch: string; at: string; byAgent: boolean }[];
  pushed: { sha: string; branch: string } | null;
  pullRequest: { number: number; url: string } | null;
  lastSeq: number;
}

export interface ConfigOption {
  id: string;
  name: string;
  currentValue: string | boolean | null;
  values: readonly { value: string; name: string }[];
}

export interface Conversation {
  readonly items: readonly Item[];
  readonly facts: Facts;
}

export const emptyFacts: Facts = {
  status: null,
  statusReason: null,
  turn: null,
  queue: null,
  progress: null,
  modeId: null,
  modes: [],
  options: [],
  commands: [],
  context: null,
  title: null,
  workspaceVersion: 0,
  commits: [],
  pushed: null,
  pullRequest: null,
  lastSeq: 0,
};

/**
 * Makes a conversation of a session's events, one by one and in order. Changed in place, because a long session has many events
 * and a page needs a picture of it only once per frame: `snapshot` gives one.
 */
export class ConversationModel {
  #items: Item[] = [];
  #facts: Facts = emptyFacts;
  #calls = new Map<string, number>();
  #permissions = new Map<string, number>();
  #prompts = new Map<string, number>();
  #plan: number | null = null;
  /** The item that more text is added to. */
  #open: number | null = null;

  snapshot(): Conversation {
    return { items: this.#items.slice(), facts: this.#facts };
  }

  apply(event: SessionEvent): void {
    this.#know({ lastSeq: event.seq });
    const key = String(event.seq);
    switch (event.type) {
      case 'session.created':
        return;
      case 'session.status': {
        const { status, reason } = event.data;
        this.#know({ status, statusReason: reason, ...(status === 'queued' ? {} : { queue: null }) });
        if (status !== 'creating' && status !== 'running') this.#know({ progress: null });
        if (status === 'failed')
          this.#note(key, 'bad', `The session failed: ${sanitizeLine(reason ?? 'no reason given')}`);
        return;
      }
      case 'turn.queued': {
        const { prompt, by, position, estimatedWaitSeconds } = event.data;
        const queue = position > 0 ? { position, estimatedWaitSeconds } : null;
        this.#know({ queue });
        const parts = prompt.map(promptPart);
        const at = this.#push({ kind: 'prompt', key, turnId: event.turnId, at: event.at, by, parts, queue });
        if (event.turnId !== null) this.#prompts.set(event.turnId, at);
        return;
      }
      case 'turn.position': {
        const { position, estimatedWaitSeconds } = event.data;
        this.#place(event.turnId, position > 0 ? { position, estimatedWaitSeconds } : null);
        return;
      }
      case 'turn.started':
        this.#place(event.turnId, null);
        this.#plan = null;
        this.#know({ turn: { id: event.turnId, startedAt: event.at }, progress: null });
        return;
      case 'turn.ended': {
        const { outcome, usage, stopReason, error } = event.data;
        const started = this.#facts.turn?.id === event.turnId ? this.#facts.turn.startedAt : null;
        this.#place(event.turnId, null);
        this.#push({
          kind: 'end',
          key,
          outcome,
          tookMs: started === null ? null : Date.parse(event.at) - Date.parse(started),
          tokens: usage?.totalTokens ?? (usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0),
          stopReason:
            stopReason === null || ['end_turn', 'cancelled'].includes(stopReason) ? null : sanitizeLine(stopReason),
          error: error === null ? null : sanitize(error.message),
        });
        this.#closeCalls();
        this.#know({ turn: null, progress: null, workspaceVersion: this.#facts.workspaceVersion + 1 });
        return;
      }
      case 'progress': {
        const { message, stage, fraction } = event.data;
        if (stage === 'fork') return this.#note(key, 'quiet', sanitizeLine(message).replace(/^f/, 'F'));
        this.#know({ progress: { message: sanitizeLine(message) || sanitizeLine(stage), fraction } });
        return;
      }
      case 'sandbox.status': {
        const { status, reason } = event.data;
        if (['running', 'creating'].includes(status)) return;
        this.#note(
          key,
          'quiet',
          `Sandbox ${sanitizeLine(status)}${reason === null ? '' : `: ${sanitizeLine(reason)}`}`,
        );
        return;
      }
      case 'agent.started': {
        const { agent, version, resumed } = event.data;
        const name = sanitizeLine([agent, version].filter(Boolean).join(' '));
        this.#note(key, 'quiet', `${name} ${resumed === 'new' ? 'started' : 'took the conversation up again'}`);
        return;
      }
      case 'agent.exited': {
        const { exitCode, signal, stderrTail } = event.data;
        if (exitCode === 0) return;
        const how = signal === null ? `with exit code ${exitCode}` : `by ${sanitizeLine(signal)}`;
        this.#note(key, 'warn', `The agent ended ${how}`, sanitize(stderrTail).trim());
        return;
      }
      case 'agent.log': {
        const { level, message } = event.data;
        if (level === 'warn' || level === 'error')
          this.#note(key, 'quiet', 'The agent logged', sanitize(message).trim());
        return;
      }
      case 'agent.config': {
        const { modeId, modes, options } = event.data;
        this.#know({
          modeId,
          modes: modes.map((mode) => ({ id: mode.id, name: sanitizeLine(mode.name) })),
          options: options.flatMap(configOption),
        });
        return;
      }
      case 'agent.update':
        this.#update(key, event.data.update);
        return;
      case 'permission.requested': {
        const { requestId, toolCall, options, expiresAt } = event.data;
        const known = this.#callAt(toolCall.toolCallId);
        const call = mergeToolCall(known?.call, toolCall);
        const at = this.#push({ kind: 'permission', key, requestId, call, options, expiresAt, answer: null });
        this.#permissions.set(requestId, at);
        return;
      }
      case 'permission.resolved': {
        const { requestId, outcome, optionId, by } = event.data;
        const at = this.#permissions.get(requestId);
        const item = at === undefined ? undefined : this.#items[at];
        if (at === undefined || item?.kind !== 'permission') return;
        const name = item.options.find((option) => option.optionId === optionId)?.name ?? optionId;
        this.#items[at] = { ...item, answer: { outcome, name: name === null ? null : sanitizeLine(name), by } };
        return;
      }
      case 'git.committed': {
        const { sha, subject, branch, byAgent } = event.data;
        const commit = { sha, subject: sanitizeLine(subject), branch: sanitizeLine(branch), at: event.at, byAgent };
        this.#know({ commits: [...this.#facts.commits, commit], workspaceVersion: this.#facts.workspaceVersion + 1 });
        this.#note(key, 'good', `Committed ${sha.slice(0, 8)} ${commit.subject}`);
        return;
      }
      case 'git.pushed': {
        const { sha, branch } = event.data;
        this.#know({ pushed: { sha, branch: sanitizeLine(branch) } });
        this.#note(key, 'good', `Pushed ${sha.slice(0, 8)} to ${sanitizeLine(branch)}`);
        return;
      }
      case 'snapshot.created': {
        const { snapshotId, name, by } = event.data;
        this.#push({ kind: 'snapshot', key, snapshotId, name: sanitizeLine(name), at: event.at, by });
        return;
      }
      case 'git.refused': {
        const { refs, reason } = event.data;
        this.#note(key, 'bad', `Push refused: ${sanitizeLine([...refs, reason].join(': '))}`);
        return;
      }
      case 'task.pull_request': {
        const { number, url } = event.data;
        this.#know({ pullRequest: { number, url } });
        this.#note(key, 'good', `Pull request #${number}`, null, url);
        return;
      }
    }
  }

  #update(key: string, update: { sessionUpdate: string; [field: string]: unknown }): void {
    switch (update.sessionUpdate) {
      case 'agent_message_chunk':
        return this.#stream(key, 'text', update['content']);
      case 'agent_thought_chunk':
        return this.#stream(key, 'thought', update['content']);
      case 'tool_call':
      case 'tool_call_update': {
        const id = String(update['toolCallId']);
        const known = this.#callAt(id);
        const call = mergeToolCall(known?.call, update);
        if (known === undefined) this.#calls.set(id, this.#push({ kind: 'tool', key, call }));
        else this.#items[known.at] = { ...known.item, call };
        if (hasEnded(call) && ['edit', 'delete', 'move', 'execute', 'other'].includes(call.kind)) {
          this.#know({ workspaceVersion: this.#facts.workspaceVersion + 1 });
        }
        return;
      }
      case 'plan': {
        const entries = planEntries(update['entries']);
        const known = this.#plan === null ? undefined : this.#items[this.#plan];
        if (this.#plan !== null && known?.kind === 'plan') this.#items[this.#plan] = { ...known, entries };
        else if (entries.length > 0) this.#plan = this.#push({ kind: 'plan', key, entries });
        return;
      }
      case 'current_mode_update':
        this.#know({ modeId: String(update['currentModeId']) });
        return;
      case 'available_commands_update': {
        const list = Array.isArray(update['availableCommands']) ? update['availableCommands'] : [];
        this.#know({
          commands: list.map((each: { name?: unknown; description?: unknown } | null) => ({
            name: sanitizeLine(String(each?.name ?? '')),
            description: sanitizeLine(String(each?.description ?? '')),
          })),
        });
        return;
      }
      case 'usage_update': {
        const { used, size } = update;
        if (typeof used === 'number' && typeof size === 'number' && size > 0) this.#know({ context: { used, size } });
        return;
      }
      case 'session_info_update':
        if (typeof update['title'] === 'string') this.#know({ title: sanitizeLine(update['title']) });
        return;
      case 'notice': {
        const text = [update['title'], update['description']].filter((part) => typeof part === 'string').join(': ');
        this.#note(key, 'warn', sanitizeLine(text));
        return;
      }
    }
  }

  #stream(key: string, kind: 'text' | 'thought', content: unknown): void {
    const image = imageIn(content);
    if (image !== null) {
      this.#push({ kind: 'image', key, ...image });
      return;
    }
    const part = content as { type?: unknown; text?: unknown; uri?: unknown; name?: unknown } | null;
    const text =
      part?.type === 'text' && typeof part.text === 'string'
        ? sanitize(part.text)
        : part?.type === 'resource_link'
          ? sanitizeLine(String(part.name ?? part.uri ?? ''))
          : '';
    const last = this.#open === null ? undefined : this.#items[this.#open];
    if (this.#open !== null && this.#open === this.#items.length - 1 && last?.kind === kind) {
      this.#items[this.#open] = { ...last, text: last.text + text };
    } else if (text.trim() !== '') {
      this.#open = this.#push({ kind, key, text: text.replace(/^\s+/, '') });
    }
  }

  #callAt(id: string): { at: number; item: Item & { kind: 'tool' }; call: ToolCall } | undefined {
    const at = this.#calls.get(id);
    const item = at === undefined ? undefined : this.#items[at];
    return at === undefined || item?.kind !== 'tool' ? undefined : { at, item, call: item.call };
  }

  /** A call that had not ended when its turn did never will. */
  #closeCalls(): void {
    for (const at of this.#calls.values()) {
      const item = this.#items[at];
      if (item?.kind !== 'tool' || hasEnded(item.call)) continue;
      this.#items[at] = { ...item, call: { ...item.call, status: 'failed' } };
    }
    // Ids are the agent's own and may come again in a later turn.
    this.#calls.clear();
  }

  #place(turnId: string | null, queue: QueuePlace | null): void {
    this.#know({ queue });
    const at = turnId === null ? undefined : this.#prompts.get(turnId);
    const item = at === undefined ? undefined : this.#items[at];
    if (at !== undefined && item?.kind === 'prompt' && (item.queue !== null || queue !== null))
      this.#items[at] = { ...item, queue };
  }

  #note(
    key: string,
    tone: 'quiet' | 'good' | 'warn' | 'bad',
    text: string,
    detail: string | null = null,
    href: string | null = null,
  ): void {
    this.#push({ kind: 'note', key, tone, text, detail: detail === '' ? null : detail, href });
  }

  #push(item: Item): number {
    return this.#items.push(item) - 1;
  }

  #know(facts: Partial<Facts>): void {
    this.#facts = { ...this.#facts, ...facts };
  }
}

export function placeInQueue({ position, estimatedWaitSeconds }: QueuePlace): string {
  const wait = estimatedWaitSeconds > 0 ? `, about ${duration(estimatedWaitSeconds * 1000)}` : '';
  return `Waiting for a slot: place ${position}${wait}`;
}

function promptPart(part: { type: string; [field: string]: unknown }): PromptPart {
  const image = imageIn(part);
  const text = part.type === 'text' ? sanitize(String(part['text'])) : sanitizeLine(String(part['name'] ?? part.type));
  return { type: part.type, text, image };
}

function planEntries(value: unknown): PlanEntry[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((entry: { content?: unknown; status?: unknown } | null) => {
    if (typeof entry !== 'object' || entry === null) return [];
    const status = entry.status === 'completed' || entry.status === 'in_progress' ? entry.status : 'pending';
    return [{ content: sanitizeLine(String(entry.content ?? '')), status }];
  });
}

/** Of the agent's options, the ones that are a choice of values, in groups or not. */
function configOption(option: { id: string; [field: string]: unknown }): ConfigOption[] {
  const choices = Array.isArray(option['options']) ? option['options'] : [];
  const flat = choices.flatMap((choice: Record<string, unknown> | null) =>
    Array.isArray(choice?.['options']) ? (choice['options'] as Record<string, unknown>[]) : [choice ?? {}],
  );
  const values = flat
    .filter((choice) => typeof choice['value'] === 'string')
    .map((choice) => ({
      value: String(choice['value']),
      name: sanitizeLine(String(choice['name'] ?? choice['value'])),
    }));
  if (values.length === 0) return [];
  const current = option['currentValue'];
  return [
    {
      id: option.id,
      name: sanitizeLine(String(option['name'] ?? option.id)),
      currentValue: typeof current === 'string' || typeof current === 'boolean' ? current : null,
      values,
    },
  ];
}
