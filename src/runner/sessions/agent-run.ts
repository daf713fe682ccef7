import { BerthError } from '../../protocol/errors.ts';
import type { AgentUpdate } from '../../protocol/events.ts';
import type { AgentSessionSpec } from '../../protocol/runner-api.ts';
import { childEnv } from '../child-env.ts';
import { createAcpClient, type AcpClient } from './acp-client.ts';
import { AgentOptions, type ConfigEvent } from './agent-options.ts';
import { AgentProcess } from './agent-process.ts';
import { createClientFiles } from './client-files.ts';
import { settledWithin, type Clock } from './clock.ts';
import { initialize, openConversation, type AgentDescription, type Conversation } from './conversation.ts';
import type { AcpOutcome, PermissionRequest } from './permissions.ts';
import { writeSettingsFiles } from './settings-files.ts';

export interface AgentRunOptions {
  spec: AgentSessionSpec;
  /** The conversation to take up again, or `null`. */
  acpSessionId: string | null;
  clock: Clock;
  /** Ends the start. */
  signal: AbortSignal;
  /** The process is there; nothing has been said yet. */
  onProcess: (process: AgentProcess) => void;
  onUpdate: (update: AgentUpdate) => void;
  /** The agent changed a mode or an option by itself, after its start. */
  onConfig: (event: ConfigEvent) => void;
  onPermission: (request: PermissionRequest, signal: AbortSignal) => Promise<AcpOutcome>;
  log: (level: 'debug' | 'warn', message: string) => void;
}

/** An agent that runs and has its conversation. */
export interface AgentRun {
  process: AgentProcess;
  client: AcpClient;
  options: AgentOptions;
  description: AgentDescription;
  conversation: Conversation;
}

/** A process that has closed its stdout is given this long to be gone. */
const afterEndMs = 2000;
/** Updates of modes and options; they become `agent.config`. */
const configUpdates = new Set(['current_mode_update', 'config_option_update']);
/** Updates that tell a state and not a part of the conversation: wanted even from a replay. */
const stateUpdates = new Set([...configUpdates, 'available_commands_update', 'session_info_update', 'usage_update']);

/**
 * Starts an agent: settings files, process, `initialize`, conversation, mode, options. Whatever fails,
 * no process is left. Throws `agent_failed` with the end of stderr in its context, and what the steps throw.
 */
export async function startAgent(options: AgentRunOptions): Promise<AgentRun> {
  const { spec, clock, log } = options;
  await writeSettingsFiles(spec.files);
  const env = childEnv(spec.env);
  const process = await AgentProcess.start({
    argv: spec.argv,
    env,
    cwd: spec.cwd,
    clock,
    onStderrLine: (line) => log('debug', `stderr: ${line}`),
  });
  options.onProcess(process);
  const stop = () => void process.kill();
  options.signal.addEventListener('abort', stop, { once: true });
  let replaying = false;
  let acpOptions: AgentOptions | null = null;
  let ready = false;

  function receive(update: AgentUpdate): void {
    // The journal has the conversation already: storing its replay would tell it twice.
    if (replaying && !stateUpdates.has(update.sessionUpdate)) return;
    if (!configUpdates.has(update.sessionUpdate)) {
      options.onUpdate(update);
      return;
    }
    acpOptions?.takeOver(update);
    const event = ready ? acpOptions?.nextEvent() : null;
    if (event) options.onConfig(event);
  }

  try {
    const connection = await createAcpClient({
      process,
      files: createClientFiles([spec.cwd, ...(env['HOME'] === undefined ? [] : [env['HOME']])]),
      clock,
      log,
      onPermission: options.onPermission,
      onAnswered: (method) => {
        if (replays(method)) replaying = false;
      },
      onUpdate: (_acpSessionId, update) => receive(update),
    });
    const client: AcpClient = {
      ...connection,
      request(method, params, timeoutMs) {
        if (replays(method)) replaying = true;
        return connection.request(method, params, timeoutMs);
      },
    };
    void client.closed.then(async () => {
      if (!(await settledWithin(clock, process.exited, afterEndMs))) await process.kill();
    });
    const description = await initialize(client, spec.initializeTimeoutMs);
    const conversation = await openConversation(client, description, spec, options.acpSessionId, (message) =>
      log('warn', message),
    );
    acpOptions = new AgentOptions(client, conversation.acpSessionId, spec.initializeTimeoutMs);
    acpOptions.takeOver(conversation.answer);
    if (spec.modeId !== null) await acpOptions.setMode(spec.modeId);
    for (const [configId, value] of Object.entries(spec.config)) await acpOptions.setOption(configId, value);
    ready = true;
    return { process, client, options: acpOptions, description, conversation };
  } catch (error) {
    await process.kill();
    if (options.signal.aborted)
      throw new BerthError('cancelled', 'the agent was ended while it started', { cause: error });
    throw await withStderr(error, process);
  } finally {
    options.signal.removeEventListener('abort', stop);
  }
}

/** Methods during which an agent tells again what was said. */
function replays(method: string): boolean {
  return method === 'session/load' || method === 'session/fork';
}

async function withStderr(error: unknown, process: AgentProcess): Promise<unknown> {
  if (!(error instanceof BerthError) || error.code !== 'agent_failed') return error;
  const { exitCode, signal, stderrTail } = await process.exited;
  const tail = stderrTail.trim();
  const message = tail === '' ? error.message : `${error.message}; stderr: ${tail.slice(-1000)}`;
  return new BerthError('agent_failed', message, {
    cause: error,
    context: { ...error.context, exitCode, signal, stderrTail },
  });
}
