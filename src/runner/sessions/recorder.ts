import type { AgentUpdate, JournalEvent, JournalEventData } from '../../protocol/events.ts';
import type { Clock } from './clock.ts';
import { ChunkMerger } from './chunk-merger.ts';
import { limitEvent, splitChunk } from './event-limits.ts';
import { defaultFloodLimits, FloodLimit, type FloodLimits, type FloodReason } from './flood-limit.ts';
import type { Journal } from './journal.ts';
import { OpenTools } from './open-tools.ts';

/** Text of a log entry beyond this is cut. */
const maxLogLength = 4096;

const floodMessages: Record<FloodReason, string> = {
  rate: 'the agent sends too many messages a second; some are dropped',
  events: 'the agent has sent too many messages in this turn; its updates are dropped until the turn ends',
  bytes: 'the agent has sent too much in this turn; its updates are dropped until the turn ends',
  logs: 'too many log entries in this turn; more are dropped until it ends',
};

/**
 * Writes what happens in one session to its journal: merges and limits what an agent sends, and never
 * drops a turn's boundary or a permission.
 */
export class Recorder {
  readonly #journal: Journal;
  readonly #flood: FloodLimit;
  readonly #merger: ChunkMerger;
  readonly #tools = new OpenTools();
  #turnId: string | null = null;
  /** Events lost to a disk that refused them, and not yet told of. */
  #refusedByDisk = 0;
  /** What is left to write of a turn's end. */
  #ending: JournalEventData[] | null = null;

  constructor(journal: Journal, clock: Clock, limits: FloodLimits = defaultFloodLimits) {
    this.#journal = journal;
    this.#flood = new FloodLimit(clock, limits);
    this.#merger = new ChunkMerger(clock, (update) => this.#writeUpdate(update));
  }

  /** An update from the agent, in the turn that runs. */
  update(update: AgentUpdate): void {
    for (const part of splitChunk(update)) this.#merger.push(part);
  }

  /** An event that a flood may cost. */
  droppable(event: JournalEventData): void {
    this.#merger.flush();
    this.#writeDroppable(limitEvent(event));
  }

  log(level: 'debug' | 'info' | 'warn' | 'error', message: string): void {
    this.droppable({ type: 'agent.log', data: { level, message: message.slice(0, maxLogLength) } });
  }

  /** An event that must not be lost; confirmed on the disk when the promise resolves. Throws `resource_exhausted`. */
  async durable(event: JournalEventData): Promise<void> {
    this.append(event);
    await this.#journal.sync();
  }

  /** As `durable`, but leaves waiting for the disk to a later `sync`. */
  append(event: JournalEventData): void {
    this.#merger.flush();
    this.#journal.append(this.#turnId, limitEvent(event), { durable: true });
    if (event.type === 'permission.requested') {
      // Gemini names a tool call for the first time here.
      this.#tools.observe({ sessionUpdate: 'tool_call', ...event.data.toolCall }, true);
    }
  }

  sync(): Promise<void> {
    return this.#journal.sync();
  }

  /** Goes on with a turn that an earlier run began, whose events are given, so that it can be ended. */
  reopenTurn(turnId: string, events: Iterable<JournalEvent>): void {
    this.#turnId = turnId;
    for (const event of events) this.#tools.replay(event);
  }

  /** Begins a turn: what follows carries its id. Confirmed by `sync`. Throws `resource_exhausted`, with nothing begun. */
  startTurn(turnId: string): void {
    this.#merger.flush();
    this.#journal.append(turnId, { type: 'turn.started', data: {} }, { durable: true });
    this.#turnId = turnId;
    this.#flood.reset();
  }

  /**
   * Ends the turn; `failRunningTools` closes tool calls that nobody will end. Throws `resource_exhausted`;
   * called again it goes on where it stopped, and writes nothing twice.
   */
  async endTurn(event: Extract<JournalEventData, { type: 'turn.ended' }>, failRunningTools: boolean): Promise<void> {
    this.#merger.flush();
    this.#ending ??= [...this.#lossWarning(), ...this.#tools.close(failRunningTools).map(asEvent), event];
    for (let next = this.#ending[0]; next !== undefined; next = this.#ending[0]) {
      this.#journal.append(this.#turnId, next, { durable: true });
      this.#ending.shift();
    }
    await this.#journal.sync();
    this.#ending = null;
    this.#turnId = null;
    this.#flood.reset();
  }

  #lossWarning(): JournalEventData[] {
    if (this.#refusedByDisk === 0) return [];
    const message = `the disk refused ${this.#refusedByDisk} events of this turn; they are lost`;
    this.#refusedByDisk = 0;
    return [{ type: 'agent.log', data: { level: 'error', message } }];
  }

  #writeUpdate(update: AgentUpdate): void {
    this.#tools.observe(update, this.#writeDroppable(limitEvent(asEvent(update))));
  }

  /** `false` when it was dropped: by a flood, or by a disk that refuses, which the turn's end tells. */
  #writeDroppable(event: JournalEventData): boolean {
    const reason = this.#flood.admit(Buffer.byteLength(JSON.stringify(event.data)), event.type === 'agent.log');
    try {
      if (reason === null) {
        this.#journal.append(this.#turnId, event, { durable: false });
      } else if (this.#flood.announce(reason)) {
        const data = { level: 'warn' as const, message: floodMessages[reason] };
        this.#journal.append(this.#turnId, { type: 'agent.log', data }, { durable: false });
      }
    } catch {
      this.#refusedByDisk += 1;
      return false;
    }
    return reason === null;
  }
}

function asEvent(update: AgentUpdate): JournalEventData {
  return { type: 'agent.update', data: { update } };
}
