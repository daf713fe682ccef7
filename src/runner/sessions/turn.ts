import type { Prompt } from '../../protocol/content.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { AgentRun } from './agent-run.ts';
import { settledWithin, type Clock } from './clock.ts';
import { endCancelled, endFailed, endFromAnswer, type TurnEnd } from './turn-end.ts';
import { TurnProcesses } from './turn-processes.ts';

/** How long an agent that was asked to stop may take before it is killed. */
export const cancelGraceMs = 10_000;

export interface TurnOptions {
  turnId: string;
  prompt: Prompt;
  clock: Clock;
  /** Answers the open permission requests with `cancelled`. */
  cancelPermissions(): Promise<void>;
}

/**
 * One prompt and everything until it has ended. States:
 * - *waiting*: the agent is being started. `cancel` ends the turn without a prompt.
 * - *prompted*: the agent works. Its answer, or its death, ends the turn.
 * - *cancelling*: the agent was told to stop and has ten seconds; then its processes are killed.
 * - *ended*. On a cancelled turn and after an agent's death, the commands that the turn started are gone too.
 */
export class Turn {
  readonly turnId: string;
  readonly #options: TurnOptions;
  readonly #cancelled = Promise.withResolvers<null>();
  readonly #ended = Promise.withResolvers<void>();
  #cancelling = false;
  #prompted: { run: AgentRun; processes: TurnProcesses } | null = null;

  constructor(options: TurnOptions) {
    this.#options = options;
    this.turnId = options.turnId;
  }

  /** Whether the agent has been told to stop: what it still asks for is refused. */
  get cancelling(): boolean {
    return this.#cancelling;
  }

  /** Works through the turn. Never rejects: a failure is an outcome. `died` resolves when the run's exit is in the journal. */
  async run(getRun: () => Promise<AgentRun>, died: (run: AgentRun) => Promise<void>): Promise<TurnEnd> {
    try {
      const starting = getRun();
      starting.catch(() => undefined);
      const run = await Promise.race([starting, this.#cancelled.promise]);
      if (run === null || this.#cancelling) return endCancelled();
      return await this.#prompt(run, died);
    } catch (error) {
      return this.#cancelling ? endCancelled() : endFailed(error);
    } finally {
      this.#ended.resolve();
    }
  }

  /** Asks the agent to stop, and sees to it. Idempotent; returns before the turn has ended. */
  cancel(): void {
    if (this.#cancelling) return;
    this.#cancelling = true;
    this.#cancelled.resolve(null);
    void this.#stopAgent();
  }

  async #prompt(run: AgentRun, died: (run: AgentRun) => Promise<void>): Promise<TurnEnd> {
    const processes = new TurnProcesses(run.process.marker);
    this.#prompted = { run, processes };
    const params = { sessionId: run.conversation.acpSessionId, prompt: this.#options.prompt };
    let end: TurnEnd;
    try {
      end = endFromAnswer(await run.client.request('session/prompt', params, null));
    } catch (error) {
      const gone = error instanceof BerthError && error.context['gone'] === true;
      if (gone) await died(run);
      if (this.#cancelling) end = endCancelled();
      else end = endFailed(gone ? await deathOf(run) : error);
    }
    this.#ended.resolve();
    const { alive, pid } = run.process;
    if (end.data.outcome === 'cancelled' || !alive) {
      processes.observe(pid, alive);
      await processes.end(this.#options.clock);
    }
    return end;
  }

  async #stopAgent(): Promise<void> {
    const prompted = this.#prompted;
    if (prompted === null) return;
    const { run, processes } = prompted;
    run.client.notify('session/cancel', { sessionId: run.conversation.acpSessionId });
    await this.#options.cancelPermissions();
    if (await settledWithin(this.#options.clock, this.#ended.promise, cancelGraceMs)) return;
    // Before the tree falls apart with its root.
    processes.observe(run.process.pid, true);
    await run.process.kill();
  }
}

async function deathOf(run: AgentRun): Promise<BerthError> {
  const { exitCode, signal, stderrTail } = await run.process.exited;
  const how = signal === null ? `exit code ${exitCode}` : signal;
  const tail = stderrTail.trim();
  return new BerthError(
    'agent_failed',
    `the agent died during the turn (${how})${tail === '' ? '' : `; stderr: ${tail.slice(-2000)}`}`,
  );
}
