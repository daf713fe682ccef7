import type { ClientConnection } from '@agentclientprotocol/sdk';
import { z } from 'zod';
import { BerthError, type ErrorCode } from '../../protocol/errors.ts';
import type { AgentUpdate } from '../../protocol/events.ts';
import type { AgentProcess } from './agent-process.ts';
import { createAgentStream } from './agent-stream.ts';
import { readTextFileRequest, writeTextFileRequest, type ClientFiles } from './client-files.ts';
import { permissionRequest, type AcpOutcome, type PermissionRequest } from './permissions.ts';
import type { Clock } from './clock.ts';

export interface AcpClientOptions {
  process: AgentProcess;
  files: ClientFiles;
  clock: Clock;
  onUpdate: (acpSessionId: string, update: AgentUpdate) => void;
  /** See `AgentStreamHandlers.onAnswered`. */
  onAnswered: (method: string) => void;
  onPermission: (request: PermissionRequest, signal: AbortSignal) => Promise<AcpOutcome>;
  log: (level: 'debug' | 'warn', message: string) => void;
}

/** Our side of ACP with one agent process. */
export interface AcpClient {
  /**
   * Sends a request. Throws `agent_failed` when the agent answers with an error (its JSON-RPC code in
   * `context.rpcCode`), goes away, or does not answer in time (`null` waits for ever).
   */
  request(method: string, params: object, timeoutMs: number | null): Promise<Record<string, unknown>>;
  notify(method: string, params: object): void;
  /** Resolves when the agent's stdout has ended. */
  closed: Promise<void>;
  close(): void;
}

/** JSON-RPC codes for what can go wrong with a file. */
const rpcCodes: Partial<Record<ErrorCode, number>> = {
  not_found: -32002,
  path_not_allowed: -32602,
  payload_too_large: -32602,
};

/**
 * Connects to an agent through the official SDK. The SDK is loaded here, with the first agent, since it
 * costs more memory than the rest of the runner.
 */
export async function createAcpClient(options: AcpClientOptions): Promise<AcpClient> {
  const acp = await import('@agentclientprotocol/sdk');
  const { process: agent, files, log } = options;
  // One after the other: a file may be large, and an agent may ask for hundreds at once.
  let fileQueue: Promise<unknown> = Promise.resolve();

  function inFileQueue<T>(action: () => Promise<T>): Promise<T> {
    const result = fileQueue.then(action).catch((error: unknown) => {
      if (!(error instanceof BerthError)) throw error;
      throw new acp.RequestError(rpcCodes[error.code] ?? -32603, error.message);
    });
    fileQueue = result.catch(() => undefined);
    return result;
  }

  function parser<T>(method: string, schema: z.ZodType<T>): (params: unknown) => T {
    return (params) => {
      const parsed = schema.safeParse(params);
      if (parsed.success) return parsed.data;
      const reason = z.prettifyError(parsed.error).slice(0, 500);
      log('warn', `an ill-formed ${method} is refused: ${reason}`);
      throw acp.RequestError.invalidParams({ reason });
    };
  }

  const stream = createAgentStream(agent.stdin, agent.stdout, {
    onUpdate: options.onUpdate,
    onAnswered: options.onAnswered,
    onProblem: (message) => log('warn', message),
  });
  const connection: ClientConnection = acp
    .client({ name: 'berth-runner' })
    .onRequest(
      'session/request_permission',
      parser('session/request_permission', permissionRequest),
      async ({ params, signal }) => ({
        outcome: await options.onPermission(params, signal),
      }),
    )
    .onRequest('fs/read_text_file', parser('fs/read_text_file', readTextFileRequest), ({ params }) =>
      inFileQueue(async () => ({ content: await files.read(params) })),
    )
    .onRequest('fs/write_text_file', parser('fs/write_text_file', writeTextFileRequest), ({ params }) =>
      inFileQueue(async () => {
        await files.write(params);
        return {};
      }),
    )
    .onRequest('*', ({ method }) => {
      log('warn', `an unknown request is refused: ${method.slice(0, 200)}`);
      throw acp.RequestError.methodNotFound(method);
    })
    .onNotification('*', ({ method }) => {
      if (!method.startsWith('$/')) log('debug', `an unknown notification is ignored: ${method.slice(0, 200)}`);
    })
    .connect(stream);

  return {
    closed: connection.closed,
    close: () => connection.close(),
    notify(method, params) {
      // An agent that is gone needs no notification.
      connection.agent.notify(method, params).catch(() => undefined);
    },
    async request(method, params, timeoutMs) {
      const answer = connection.agent.request<unknown, object>(method, params);
      try {
        const result = timeoutMs === null ? await answer : await inTime(options.clock, answer, timeoutMs, method);
        return typeof result === 'object' && result !== null ? (result as Record<string, unknown>) : {};
      } catch (error) {
        if (error instanceof BerthError) throw error;
        if (error instanceof acp.RequestError) throw refusal(method, error);
        throw new BerthError('agent_failed', `the agent went away during ${method}`, {
          cause: error,
          context: { method, gone: true },
        });
      }
    },
  };
}

async function inTime<T>(clock: Clock, answer: Promise<T>, timeoutMs: number, method: string): Promise<T> {
  const answered = new AbortController();
  const timeout = clock.sleep(timeoutMs, answered.signal).then(
    () => {
      throw new BerthError('agent_failed', `the agent did not answer ${method} within ${timeoutMs} ms`, {
        context: { method, timeoutMs },
      });
    },
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    answered.abort();
  }
}

function refusal(method: string, error: { code: number; message: string; data?: unknown }): BerthError {
  const detail = detailOf(error.data);
  const message = `the agent refused ${method}: ${error.message}${detail === null ? '' : ` (${detail})`}`;
  return new BerthError('agent_failed', message.slice(0, 2000), {
    cause: error,
    context: { method, rpcCode: error.code },
  });
}

/** What an agent adds to an error, where it is a text: mostly the only useful part. */
function detailOf(data: unknown): string | null {
  if (typeof data === 'string') return data;
  if (typeof data !== 'object' || data === null) return null;
  const { details, message } = data as Record<string, unknown>;
  return [details, message].find((value) => typeof value === 'string') ?? null;
}
