import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { JournalEvent } from '../../protocol/events.ts';
import { agentSessionSpec, type AgentSessionSpec } from '../../protocol/runner-api.ts';
import { AgentSession } from './agent-session.ts';
import type { Clock } from './clock.ts';
import type { FloodLimits } from './flood-limit.ts';
import type { Journal } from './journal.ts';
import { TestClock } from './test-clock.ts';

const scriptedAgent = resolve(import.meta.dirname, '../../../test/fixtures/scripted-agent/agent.mjs');

/** For tests: a real session with a real agent process, in a directory of its own. */
export class SessionFixture implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), 'berth-sessions-'));
  readonly cwd = join(this.root, 'work');
  readonly directory = join(this.root, 'state', 'ses_1');
  readonly clock = new TestClock();
  #session: AgentSession | null = null;

  constructor() {
    mkdirSync(this.cwd);
  }

  spec(overrides: Partial<AgentSessionSpec> = {}): AgentSessionSpec {
    return agentSessionSpec.parse({
      agent: 'scripted',
      argv: [process.execPath, scriptedAgent],
      env: { HOME: this.root },
      cwd: this.cwd,
      acpSessionId: null,
      modeId: null,
      permissionTimeoutMs: 60_000,
      initializeTimeoutMs: 30_000,
      ...overrides,
    });
  }

  async open(options: { floodLimits?: FloodLimits; clock?: Clock } = {}): Promise<AgentSession> {
    await this.#session?.close();
    const { clock = this.clock, ...rest } = options;
    this.#session = await AgentSession.open({ sessionId: 'ses_1', directory: this.directory, clock, ...rest });
    return this.#session;
  }

  /** A session whose agent runs. */
  async start(
    overrides: Partial<AgentSessionSpec> = {},
    options: { floodLimits?: FloodLimits } = {},
  ): Promise<AgentSession> {
    const session = await this.open(options);
    await session.ensure(this.spec(overrides));
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** The journal's events with `seq > from`, until one satisfies `last`, which is included. */
export async function readUntil(
  journal: Journal,
  last: (event: JournalEvent) => boolean,
  from = 0,
): Promise<JournalEvent[]> {
  const events: JournalEvent[] = [];
  let offset = journal.offsetAfter(from);
  let rest = '';
  const never = new AbortController().signal;
  for (;;) {
    const bytes = await journal.read(offset);
    if (bytes.length === 0) {
      if (journal.closed) throw new Error('the journal was closed before the awaited event');
      await journal.waitBeyond(offset, never);
      continue;
    }
    offset += bytes.length;
    const lines = (rest + bytes.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = JSON.parse(line) as JournalEvent;
      events.push(event);
      if (last(event)) return events;
    }
  }
}

export type EventOf<T extends JournalEvent['type']> = Extract<JournalEvent, { type: T }>;

export function ofType<T extends JournalEvent['type']>(type: T): (event: JournalEvent) => event is EventOf<T> {
  return (event): event is EventOf<T> => event.type === type;
}

/** Waits for an event of a type, of a turn where given. */
export async function waitFor<T extends JournalEvent['type']>(
  journal: Journal,
  type: T,
  turnId?: string,
): Promise<EventOf<T>> {
  const matches = (event: JournalEvent) => event.type === type && (turnId === undefined || event.turnId === turnId);
  return (await readUntil(journal, matches)).at(-1) as EventOf<T>;
}

/** Runs a prompt of text to its end; all events of the turn. */
export async function runTurn(session: AgentSession, turnId: string, text: string): Promise<JournalEvent[]> {
  await session.startTurn({ turnId, prompt: [{ type: 'text', text }] });
  const events = await readUntil(session.journal, (event) => event.type === 'turn.ended' && event.turnId === turnId);
  return events.filter((event) => event.turnId === turnId);
}

/** What the agent said, joined. */
export function saidIn(events: readonly JournalEvent[]): string {
  return events
    .filter(ofType('agent.update'))
    .filter(({ data }) => data.update.sessionUpdate === 'agent_message_chunk')
    .map(({ data }) => (data.update['content'] as { text?: string }).text ?? '')
    .join('');
}
