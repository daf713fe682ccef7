import { BerthError } from '../../protocol/errors.ts';
import type { AgentSessionInfo, AgentSessionSpec, AgentTurn, PermissionAnswer } from '../../protocol/runner-api.ts';
import type { AgentExit, AgentProcess } from './agent-process.ts';
import { startAgent, type AgentRun } from './agent-run.ts';
import type { Clock } from './clock.ts';
import type { FloodLimits } from './flood-limit.ts';
import { JournalReplay } from './journal-replay.ts';
import { Journal } from './journal.ts';
import { parseLine } from './journal-line.ts';
import { endOrphan, forgetAgent, rememberAgent } from './orphan.ts';
import { Permissions, type AcpOutcome, type PermissionRequest } from './permissions.ts';
import { toAcpPrompt } from './prompt-content.ts';
import { Recorder } from './recorder.ts';
import { endFailed, type TurnEnd } from './turn-end.ts';
import { Turn } from './turn.ts';

export interface AgentSessionOptions {
  sessionId: string;
  /** Holds the journal; made when it is not there. */
  directory: string;
  clock: Clock;
  floodLimits?: FloodLimits;
}

/** How long to wait before a turn's end is written again to a disk that refused it. */
const journalRetryMs = 1000;

/**
 * One lasting conversation with an agent, and its journal. The agent's process comes and goes:
 * - *absent*: none runs. After `ensure` gave a spec, a turn starts it again.
 * - *starting*: shared by everyone who needs it; a failure leads back to *absent*.
 * - *running*: until it exits by itself, is killed by a stubborn cancellation, or `close`.
 * Independently of it at most one turn runs. The journal is the truth about turns: an id that it has is
 * never run again, and a turn that it shows without an end is ended when the session is opened.
 */
export class AgentSession {
  readonly journal: Journal;
  readonly #options: AgentSessionOptions;
  readonly #recorder: Recorder;
  readonly #permissions: Permissions;
  readonly #turnIds: Set<string>;
  #agent: string;
  #acpSessionId: string | null;
  #capabilities: Record<string, unknown> = {};
  #spec: AgentSessionSpec | null = null;
  #run: AgentRun | null = null;
  #starting: { promise: Promise<AgentRun>; abort: AbortController } | null = null;
  /** The end of the last process, until it is in the journal. */
  #exit: Promise<void> = Promise.resolve();
  #turn: Turn | null = null;
  #turnDone: Promise<void> = Promise.resolve();

  private constructor(options: AgentSessionOptions, journal: Journal, replay: JournalReplay) {
    this.#options = options;
    this.journal = journal;
    this.#recorder = new Recorder(journal, options.clock, options.floodLimits);
    this.#permissions = new Permissions(this.#recorder, options.clock, replay.permissionIds);
    this.#turnIds = replay.turnIds;
    this.#agent = replay.lastStarted?.agent ?? '';
    this.#acpSessionId = replay.lastStarted?.acpSessionId ?? null;
  }

  /** Opens a session, and closes in its journal what an earlier runner left open. Throws `resource_exhausted`. */
  static async open(options: AgentSessionOptions): Promise<AgentSession> {
    const replay = new JournalReplay();
    const journal = new Journal(options.directory, options.clock, (header, line, offset) =>
      replay.visit(header, line, offset),
    );
    try {
      const session = new AgentSession(options, journal, replay);
      await endOrphan(options.directory, options.clock);
      await session.#closeLeftovers(replay);
      return session;
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  info(): AgentSessionInfo {
    return {
      sessionId: this.#options.sessionId,
      journalId: this.journal.journalId,
      lastSeq: this.journal.lastSeq,
      agent: this.#spec?.agent ?? this.#agent,
      acpSessionId: this.#acpSessionId,
      running: this.#run !== null,
      turnId: this.#turn?.turnId ?? null,
      openPermissions: this.#permissions.openIds,
      modeId: this.#run?.options.modeId ?? null,
      capabilities: this.#capabilities,
    };
  }

  /** Starts the agent unless it runs. A new spec counts from the next start on. Throws what `startAgent` throws. */
  async ensure(spec: AgentSessionSpec): Promise<AgentSessionInfo> {
    this.#spec = spec;
    await this.#ensureRun();
    return this.info();
  }

  /**
   * Begins a turn; on return its beginning is on the disk. A known `turnId` is no error and does nothing.
   * Throws `conflict` while another turn runs or when no agent was ever started here, `unsupported`.
   */
  async startTurn({ turnId, prompt }: AgentTurn): Promise<void> {
    if (this.#turnIds.has(turnId)) return this.#recorder.sync();
    if (this.#turn !== null) {
      throw new BerthError('conflict', 'another turn is running', {
        field: 'turnId',
        context: { turnId: this.#turn.turnId },
      });
    }
    if (this.#spec === null) {
      throw new BerthError('conflict', 'no agent was started since the runner started', {
        context: { reason: 'agent_not_started' },
      });
    }
    const acpPrompt = toAcpPrompt(prompt, this.#capabilities);
    const { clock } = this.#options;
    const turn = new Turn({ turnId, prompt: acpPrompt, clock, cancelPermissions: () => this.#permissions.cancelAll() });
    this.#recorder.startTurn(turnId);
    this.#turn = turn;
    this.#turnIds.add(turnId);
    const started = this.#recorder.sync();
    this.#turnDone = this.#workThrough(turn, started);
    await started;
  }

  /** Stops the running turn; nothing happens when it is another or none. `null` means whichever runs. */
  cancelTurn(turnId: string | null): void {
    if (this.#turn !== null && (turnId === null || turnId === this.#turn.turnId)) this.#turn.cancel();
  }

  answerPermission(requestId: string, answer: PermissionAnswer): Promise<void> {
    return this.#permissions.answer(requestId, answer);
  }

  /** Throws `conflict` when no agent runs, and what `AgentOptions.setMode` throws. */
  async setMode(modeId: string): Promise<void> {
    const run = await this.#running();
    await run.options.setMode(modeId);
    // For the next start: a mode outlives the process that it was set in.
    if (this.#spec !== null) this.#spec = { ...this.#spec, modeId };
    await this.#recordConfig(run);
  }

  /** Throws `conflict` when no agent runs, and what `AgentOptions.setOption` throws. */
  async setConfig(configId: string, value: string | boolean): Promise<void> {
    const run = await this.#running();
    await run.options.setOption(configId, value);
    if (this.#spec !== null) this.#spec = { ...this.#spec, config: { ...this.#spec.config, [configId]: value } };
    await this.#recordConfig(run);
  }

  /** Ends a running turn and the agent; the journal stays open for readers. Idempotent. */
  async stop(): Promise<void> {
    this.#spec = null;
    this.#turn?.cancel();
    this.#starting?.abort.abort();
    await this.#starting?.promise.catch(() => undefined);
    await this.#run?.process.stop();
    await this.#exit;
    await this.#turnDone;
  }

  /** `stop`, and lets go of the journal's file. */
  async close(): Promise<void> {
    await this.stop();
    await this.journal.close();
  }

  async #workThrough(turn: Turn, started: Promise<void>): Promise<void> {
    let end: TurnEnd;
    try {
      await started;
      end = await turn.run(
        () => this.#ensureRun(),
        () => this.#exit,
      );
    } catch (error) {
      // Only the journal fails here. A beginning that may or may not be on the disk gets an end all the same.
      end = endFailed(error);
    }
    await this.#permissions.cancelAll();
    await this.#writeEnd(end);
    this.#turn = null;
  }

  /** A turn without an end would run for ever in the eyes of readers: a full disk is waited out. */
  async #writeEnd(end: TurnEnd): Promise<void> {
    const failRunningTools = end.data.outcome !== 'completed';
    while (!this.journal.closed) {
      try {
        await this.#recorder.endTurn(end, failRunningTools);
        return;
      } catch {
        await this.#options.clock.sleep(journalRetryMs);
      }
    }
  }

  async #running(): Promise<AgentRun> {
    const run = this.#run ?? (await this.#starting?.promise);
    if (run === undefined)
      throw new BerthError('conflict', 'the agent is not running', { context: { reason: 'agent_not_started' } });
    return run;
  }

  #ensureRun(): Promise<AgentRun> {
    if (this.#run !== null) return Promise.resolve(this.#run);
    if (this.#starting !== null) return this.#starting.promise;
    const abort = new AbortController();
    const promise = this.#start(abort.signal).finally(() => {
      this.#starting = null;
    });
    this.#starting = { promise, abort };
    return promise;
  }

  async #start(signal: AbortSignal): Promise<AgentRun> {
    await this.#exit;
    const spec = this.#spec;
    if (spec === null || signal.aborted) throw new BerthError('cancelled', 'the agent was ended while it started');
    // Another agent cannot take up the conversation of the one before.
    const known = this.#agent === '' || this.#agent === spec.agent ? this.#acpSessionId : null;
    let process: AgentProcess | null = null;
    try {
      const run = await startAgent({
        spec,
        acpSessionId: spec.acpSessionId ?? known,
        clock: this.#options.clock,
        signal,
        onProcess: (started) => {
          process = started;
          rememberAgent(this.#options.directory, started.pid);
        },
        onUpdate: (update) => this.#recorder.update(update),
        onConfig: (event) => this.#recorder.droppable(event),
        onPermission: (request, taken) => this.#onPermission(request, spec.permissionTimeoutMs, taken),
        log: (level, message) => this.#recorder.log(level, message),
      });
      await this.#onStarted(run, spec);
      return run;
    } catch (error) {
      await (process as AgentProcess | null)?.kill();
      forgetAgent(this.#options.directory);
      throw error;
    }
  }

  async #onStarted(run: AgentRun, spec: AgentSessionSpec): Promise<void> {
    const { acpSessionId, resumed } = run.conversation;
    const { version, capabilities } = run.description;
    this.#recorder.append({
      type: 'agent.started',
      data: { agent: spec.agent, acpSessionId, resumed, ...(version === null ? {} : { version }) },
    });
    this.#agent = spec.agent;
    this.#acpSessionId = acpSessionId;
    this.#capabilities = capabilities;
    this.#run = run;
    this.#exit = run.process.exited.then((exit) => this.#onExit(run, exit));
    await this.#recordConfig(run);
  }

  async #onExit(run: AgentRun, exit: AgentExit): Promise<void> {
    run.client.close();
    if (this.#run === run) this.#run = null;
    forgetAgent(this.#options.directory);
    await this.#permissions.cancelAll();
    try {
      await this.#recorder.durable({ type: 'agent.exited', data: { ...exit } });
    } catch {
      // The disk refuses; the turn's end, which is tried again, tells the same.
    }
  }

  async #recordConfig(run: AgentRun): Promise<void> {
    const event = run.options.nextEvent();
    if (event !== null) this.#recorder.append(event);
    await this.#recorder.sync();
  }

  async #onPermission(request: PermissionRequest, timeoutMs: number, taken: AbortSignal): Promise<AcpOutcome> {
    if (this.#turn === null || this.#turn.cancelling) {
      this.#recorder.log('warn', 'a permission request outside of a running turn is answered "cancelled"');
      return { outcome: 'cancelled' };
    }
    return this.#permissions.request(request, timeoutMs, taken);
  }

  async #closeLeftovers(replay: JournalReplay): Promise<void> {
    const { openTurn } = replay;
    if (openTurn !== null) {
      this.#recorder.reopenTurn(openTurn.turnId, this.#eventsFrom(openTurn.offset));
    }
    if (this.journal.tornBytes > 0) {
      this.#recorder.log(
        'warn',
        `the journal's last ${this.journal.tornBytes} bytes were torn by a crash and are cut off`,
      );
    }
    for (const requestId of replay.openPermissionIds) {
      this.#recorder.append({
        type: 'permission.resolved',
        data: { requestId, outcome: 'cancelled', optionId: null, by: null },
      });
    }
    if (replay.agentRuns)
      this.#recorder.append({ type: 'agent.exited', data: { exitCode: null, signal: null, stderrTail: '' } });
    const lost = new BerthError('sandbox_lost', 'the runner was restarted during the turn');
    if (openTurn !== null) await this.#recorder.endTurn(endFailed(lost), true);
    await this.#recorder.sync();
  }

  *#eventsFrom(offset: number) {
    for (const line of this.journal.lines(offset)) {
      const event = parseLine(line);
      if (event !== null) yield event;
    }
  }
}
