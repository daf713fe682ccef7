import type { Readable, Writable } from 'node:stream';
import type { AnyMessage, Stream } from '@agentclientprotocol/sdk';
import { agentUpdate, type AgentUpdate } from '../../protocol/events.ts';
import { LineSplitter } from './line-splitter.ts';

const maxLineBytes = 16 * 1024 * 1024;
/** Requests from the agent that wait for an answer; more are refused. */
const maxOpenRequests = 256;
const busyErrorCode = -32000;

export interface AgentStreamHandlers {
  /** `session/update`, in the order of the stream; the SDK does not see it, since it refuses kinds that it does not know. */
  onUpdate(acpSessionId: string, update: AgentUpdate): void;
  /** The agent answered a request of ours; called before anything that follows in the stream. */
  onAnswered(method: string): void;
  /** A message that cannot be used; it is skipped. */
  onProblem(message: string): void;
}

/**
 * The agent's stdin and stdout as a stream for the SDK's connection, made so that nothing the agent
 * writes ends the connection or reaches this process's own log: lines that are not JSON, too long or
 * no JSON-RPC, and answers to requests that were never sent, are reported and skipped.
 */
export function createAgentStream(stdin: Writable, stdout: Readable, handlers: AgentStreamHandlers): Stream {
  const pending = new Map<unknown, string>();
  const openRequests = new Set<unknown>();
  const write = (message: unknown) => writeLine(stdin, message);

  function receive(line: Buffer, controller: ReadableStreamDefaultController<AnyMessage>): void {
    const message = parse(line);
    if (message === null) {
      handlers.onProblem(`a line on stdout is not a JSON object: ${preview(line)}`);
      return;
    }
    const { id, method } = message;
    if (message['jsonrpc'] !== '2.0' || (method !== undefined && typeof method !== 'string')) {
      handlers.onProblem(`a line on stdout is not JSON-RPC 2.0: ${preview(line)}`);
    } else if (method === undefined) {
      const asked = pending.get(id);
      if (asked === undefined) {
        handlers.onProblem(`an answer to no request: ${preview(line)}`);
        return;
      }
      pending.delete(id);
      handlers.onAnswered(asked);
      controller.enqueue(message as unknown as AnyMessage);
    } else if (method === 'session/update' && id === undefined) {
      receiveUpdate(message['params'], line);
    } else if (id === undefined) {
      controller.enqueue(message as unknown as AnyMessage);
    } else if (typeof id !== 'string' && !Number.isFinite(id)) {
      handlers.onProblem(`a request without a usable id: ${preview(line)}`);
    } else if (openRequests.size >= maxOpenRequests) {
      handlers.onProblem(`more than ${maxOpenRequests} requests at once; ${method} is refused`);
      void write({ jsonrpc: '2.0', id, error: { code: busyErrorCode, message: 'too many requests at once' } });
    } else if (openRequests.has(id)) {
      handlers.onProblem(`the id of an open request is used again: ${preview(line)}`);
    } else {
      openRequests.add(id);
      controller.enqueue(message as unknown as AnyMessage);
    }
  }

  function receiveUpdate(params: unknown, line: Buffer): void {
    const { sessionId, update } = (params ?? {}) as Record<string, unknown>;
    const parsed = agentUpdate.safeParse(update);
    if (typeof sessionId !== 'string' || !parsed.success) {
      handlers.onProblem(`an ill-formed session/update: ${preview(line)}`);
      return;
    }
    handlers.onUpdate(sessionId, parsed.data);
  }

  const readable = new ReadableStream<AnyMessage>({
    start(controller) {
      const splitter = new LineSplitter({
        maxLineBytes,
        onLine: (line) => receive(line, controller),
        onOversized: () => handlers.onProblem(`a line on stdout is longer than ${maxLineBytes} bytes`),
      });
      let ended = false;
      const end = () => {
        if (ended) return;
        ended = true;
        splitter.end();
        controller.close();
      };
      stdout.on('data', (chunk: Buffer) => {
        if (!ended) splitter.push(chunk);
      });
      stdout.once('end', end);
      stdout.once('error', end);
      stdout.once('close', end);
    },
  });
  const writable = new WritableStream<AnyMessage>({
    write(message) {
      if ('method' in message) {
        if ('id' in message) pending.set(message.id, message.method);
      } else {
        openRequests.delete(message.id);
      }
      return write(message);
    },
  });
  return { readable, writable };
}

/** Resolves when the agent's pipe has room again. A broken pipe is the process's end, which is met elsewhere. */
function writeLine(stdin: Writable, message: unknown): Promise<void> {
  return new Promise((resolve) => {
    if (stdin.destroyed || !stdin.writable) resolve();
    else stdin.write(`${JSON.stringify(message)}\n`, () => resolve());
  });
}

function parse(line: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function preview(line: Buffer): string {
  return JSON.stringify(line.toString('utf8', 0, 300));
}
