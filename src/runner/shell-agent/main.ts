import { randomUUID } from 'node:crypto';
import { OutputTail } from './output-tail.ts';
import { RpcError, serveRpc } from './rpc.ts';
import { ScriptRun, type ScriptExit } from './script-run.ts';

/**
 * The `shell` agent: speaks ACP over stdio and runs each prompt as a script. It has no model and no memory,
 * so any conversation can be "loaded".
 *
 * Output is shown in updates of one tool call. Each update replaces the one before, so a running script shows
 * only a short tail, ever less often, and the end shows the long one: the sum stays small beside the output.
 */

const liveTailBytes = 8 * 1024;
const finalTailBytes = 64 * 1024;
const minUpdateMs = 200;
const maxUpdateMs = 2000;
/** The longer a script runs, the less a single moment of it matters. */
const updateShareOfAge = 0.05;
const maxTitleLength = 200;

/** Directories of the sessions of this process. */
const cwds = new Map<string, string>();
const running = new Map<string, ScriptRun>();

const rpc = serveRpc(
  {
    initialize: () => ({
      protocolVersion: 1,
      agentCapabilities: { loadSession: true, promptCapabilities: {}, sessionCapabilities: { resume: {} } },
      agentInfo: { name: 'berth-shell', title: 'Shell', version: '1' },
      authMethods: [],
    }),
    'session/new': (params) => {
      const sessionId = randomUUID();
      cwds.set(sessionId, text(params['cwd']));
      return { sessionId };
    },
    'session/load': openAgain,
    'session/resume': openAgain,
    'session/prompt': prompt,
    'session/cancel': (params) => running.get(text(params['sessionId']))?.cancel(),
  },
  () => {
    for (const run of running.values()) run.kill();
    process.exit(0);
  },
);

function openAgain(params: Record<string, unknown>): object {
  cwds.set(text(params['sessionId']), text(params['cwd']));
  return {};
}

async function prompt(params: Record<string, unknown>): Promise<object> {
  const sessionId = text(params['sessionId']);
  const cwd = cwds.get(sessionId);
  if (cwd === undefined) throw new RpcError(-32002, `no session ${sessionId}`);
  if (running.has(sessionId)) throw new RpcError(-32600, 'a script is running');
  const script = scriptOf(params['prompt']);
  const toolCallId = randomUUID();
  const update = (fields: object) => rpc.notify('session/update', { sessionId, update: { toolCallId, ...fields } });
  const tail = new OutputTail(finalTailBytes);
  const stopShowing = showWhileRunning(tail, (content) => update({ sessionUpdate: 'tool_call_update', content }));

  update({
    sessionUpdate: 'tool_call',
    title: titleOf(script),
    kind: 'execute',
    status: 'in_progress',
    rawInput: { command: script },
    content: [],
  });
  let exit: ScriptExit;
  try {
    const run = new ScriptRun(script, cwd, (chunk) => tail.push(chunk));
    running.set(sessionId, run);
    exit = await run.exited;
  } catch (error) {
    update({ sessionUpdate: 'tool_call_update', status: 'failed' });
    throw new RpcError(
      -32603,
      `the shell could not be started in ${cwd}: ${error instanceof Error ? error.message : String(error)}`,
    );
  } finally {
    running.delete(sessionId);
    stopShowing();
  }
  const { exitCode, signal, cancelled } = exit;
  update({
    sessionUpdate: 'tool_call_update',
    status: exitCode === 0 && !cancelled ? 'completed' : 'failed',
    content: toContent(tail.text()),
    rawOutput: { exitCode, signal, outputBytes: tail.totalBytes },
  });
  if (cancelled) return { stopReason: 'cancelled' };
  if (exitCode !== 0)
    say(
      sessionId,
      signal === null ? `The script ended with exit code ${exitCode}.` : `The script was ended by ${signal}.`,
    );
  return { stopReason: 'end_turn' };
}

/** Shows new output from time to time until the returned function is called. */
function showWhileRunning(tail: OutputTail, show: (content: object[]) => void): () => void {
  const startedAt = Date.now();
  let shownBytes = 0;
  let timer: NodeJS.Timeout;
  function schedule(): void {
    const delayMs = Math.min(maxUpdateMs, Math.max(minUpdateMs, (Date.now() - startedAt) * updateShareOfAge));
    timer = setTimeout(() => {
      if (tail.totalBytes > shownBytes) show(toContent(tail.text(liveTailBytes)));
      shownBytes = tail.totalBytes;
      schedule();
    }, delayMs);
  }
  schedule();
  return () => clearTimeout(timer);
}

function say(sessionId: string, message: string): void {
  rpc.notify('session/update', {
    sessionId,
    update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: message } },
  });
}

function toContent(output: string): object[] {
  return output === '' ? [] : [{ type: 'content', content: { type: 'text', text: output } }];
}

/** The text blocks of a prompt, one below the other. */
function scriptOf(blocks: unknown): string {
  const texts = (Array.isArray(blocks) ? blocks : []).flatMap((block: { type?: unknown; text?: unknown } | null) =>
    block?.type === 'text' && typeof block.text === 'string' ? [block.text] : [],
  );
  const script = texts.join('\n');
  if (script.includes('\0')) throw new RpcError(-32602, 'a script cannot have a NUL character');
  return script;
}

function titleOf(script: string): string {
  const first = script.split('\n').find((line) => line.trim() !== '') ?? 'empty script';
  return first.trim().slice(0, maxTitleLength);
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new RpcError(-32602, 'a text is missing');
  return value;
}
