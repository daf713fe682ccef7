import type { IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { z } from 'zod';
import type { RunnerClient } from '../../core/ports/runner.ts';
import {
  agentSessionInfo,
  execResult,
  fileChange,
  fileInfo,
  portInfo,
  processInfo,
  runnerHealth,
  runnerHeartbeatMs,
  runnerPort,
  type FileChange,
} from '../../protocol/runner-api.ts';
import { parseShallowJson } from '../../protocol/shallow-json.ts';
import { DialAgent, type Dial } from './agent.ts';
import { badAnswer, transportFailure } from './failure.ts';
import { readJournal } from './follow-journal.ts';
import { inTime } from './in-time.ts';
import { readLines, type LineLimits } from './lines.ts';
import { readJson, send, type Call, type Connection } from './request.ts';
import { upgrade } from './upgrade.ts';

export type { Dial } from './agent.ts';

/** What `attachProcess` gives. */
export type AttachedProcess = Duplex & {
  /** Offset of the first byte of output that will come: above what was asked for when older output is no longer kept. */
  firstByte: number;
};

export interface RunnerClientOptions {
  dial: Dial;
  token: string;
  /** Where the runner listens; `runnerPort` unless told. */
  port?: number;
  /** How often the runner sends a sign of life on a stream; for tests. */
  heartbeatMs?: number;
  /** How long an answer may take, beyond the time that a command was given; of a stream, its beginning. For tests. */
  answerMs?: number;
}

/** Of an answer: a listing of 20 000 files is about 5 MB. */
const maxAnswerBytes = 16 * 1024 * 1024;
/** A tool call's diff may hold a whole file twice. */
const maxLineBytes = 32 * 1024 * 1024;
const missedHeartbeats = 3;
/** The longest that any takes: removing a large tree on a busy machine. */
const defaultAnswerMs = 300_000;
/** What `/exec` keeps of each stream when the request does not say. */
const defaultMaxOutputBytes = 1024 * 1024;

/**
 * The client of one sandbox's runner over any byte stream. Connections for plain calls are kept and used again;
 * a stream (process, port, gateway) has its own. Every answer is checked by its schema and bounded in size.
 */
export function createRunnerClient(options: RunnerClientOptions): RunnerClient {
  const agent = new DialAgent(options.dial, options.port ?? runnerPort);
  const connection: Connection = { agent, token: options.token };
  const limits: LineLimits = { maxLineBytes, silenceMs: missedHeartbeats * (options.heartbeatMs ?? runnerHeartbeatMs) };

  const answerMs = options.answerMs ?? defaultAnswerMs;

  async function call<T>(
    schema: z.ZodType<T>,
    request: Call,
    signal: AbortSignal,
    { maxBytes = maxAnswerBytes, withinMs = answerMs as number | null } = {},
  ): Promise<T> {
    return inTime(withinMs, signal, async (both) => {
      const response = await send(connection, request, both);
      const result = schema.safeParse(await readJson(response, maxBytes, both));
      if (!result.success) throw badAnswer(`an ill-formed answer to ${request.method} ${request.path}`, result.error);
      return result.data;
    });
  }

  /** A call whose answer says nothing but that it worked. */
  async function tell(request: Call, signal: AbortSignal): Promise<void> {
    (await begin(request, signal)).resume();
  }

  /** A call whose answer is read as it comes, for as long as it takes. */
  const begin = (request: Call, signal: AbortSignal) => inTime(answerMs, signal, (both) => send(connection, request, both));
  const raw = (protocol: string, request: Pick<Call, 'path' | 'query'>, signal: AbortSignal) =>
    inTime(answerMs, signal, (both) => upgrade(connection, protocol, request, both));

  const post = (path: string, json: unknown, idempotent: boolean): Call => ({ method: 'POST', path, json, idempotent });
  const get = (path: string, query?: Call['query']): Call => ({
    method: 'GET',
    path,
    idempotent: true,
    ...(query === undefined ? {} : { query }),
  });
  const session = (sessionId: string, rest = '') => `/sessions/${encodeURIComponent(sessionId)}${rest}`;
  const process = (id: string, rest = '') => `/processes/${encodeURIComponent(id)}${rest}`;

  return {
    health: (signal) => call(runnerHealth, get('/health'), signal),
    async exec(request, signal) {
      const perStream = request.maxOutputBytes ?? defaultMaxOutputBytes;
      const maxBytes = Math.ceil((perStream * 2 * 4) / 3) + 4096;
      // A command without a time of its own takes what it takes.
      const withinMs = request.timeoutMs === undefined ? null : request.timeoutMs + answerMs;
      const result = await call(execResult, post('/exec', request, false), signal, { maxBytes, withinMs });
      return { ...result, stdout: Buffer.from(result.stdout, 'base64'), stderr: Buffer.from(result.stderr, 'base64') };
    },

    startProcess: (spec, signal) => call(processInfo, post('/processes', spec, false), signal),
    listProcesses: (signal) => call(z.array(processInfo), get('/processes'), signal),
    getProcess: (id, signal) => call(processInfo, get(process(id)), signal),
    async attachProcess(id, fromByte, signal) {
      const call = { path: process(id, '/attach'), query: { from: fromByte } };
      const { stream, headers } = await raw('berth-process', call, signal);
      return Object.assign(stream, {
        firstByte: Number(headers['berth-output-from'] ?? fromByte),
      }) satisfies AttachedProcess;
    },
    signalProcess: (id, signalName, signal) =>
      tell(post(process(id, '/signal'), { signal: signalName }, false), signal),
    resizeProcess: (id, size, signal) => tell(post(process(id, '/resize'), size, true), signal),

    statFile: (path, signal) => call(fileInfo, get('/files/stat', { path }), signal),
    listFiles: (path, signal) => call(z.array(fileInfo), get('/files/list', { path }), signal),
    async readFile(path, range, signal) {
      return toWebStream(await begin(get('/files/content', { path, ...range }), signal), signal);
    },
    writeFile: (path, body, { mode, makeParents }, signal) =>
      call(
        fileInfo,
        { method: 'PUT', path: '/files/content', query: { path, mode, makeParents }, stream: body, idempotent: false },
        signal,
        // The body takes as long as its sender does.
        { withinMs: null },
      ),
    makeDirectory: (path, { parents }, signal) =>
      call(fileInfo, post('/files/mkdir', { path, parents }, parents), signal),
    moveFile: (from, to, signal) => call(fileInfo, post('/files/move', { from, to }, false), signal),
    removeFile: (path, { recursive }, signal) =>
      tell({ method: 'DELETE', path: '/files', query: { path, recursive }, idempotent: false }, signal),
    async *watchFiles(path, { recursive }, signal) {
      const response = await begin(get('/files/watch', { path, recursive }), signal);
      try {
        for await (const line of readLines(response as AsyncIterable<Uint8Array>, limits)) yield parseChange(line);
        throw transportFailure(new Error('the stream of changes ended'), signal);
      } catch (error) {
        throw transportFailure(error, signal);
      } finally {
        response.destroy();
      }
    },

    listPorts: (signal) => call(z.array(portInfo), get('/ports'), signal),
    async dialPort(port, signal) {
      return (await raw('tcp', { path: `/ports/${port}` }, signal)).stream;
    },
    async openGatewayChannel(port, signal) {
      return (await raw('berth-gateway', { path: '/gateway', query: { port } }, signal)).stream;
    },

    ensureAgentSession: (sessionId, spec, signal) =>
      call(agentSessionInfo, { method: 'PUT', path: session(sessionId), json: spec, idempotent: true }, signal),
    getAgentSession: (sessionId, signal) => call(agentSessionInfo, get(session(sessionId)), signal),
    startTurn: (sessionId, turn, signal) => tell(post(session(sessionId, '/turns'), turn, true), signal),
    cancelTurn: (sessionId, turnId, signal) =>
      tell(post(session(sessionId, '/cancel'), turnId === null ? {} : { turnId }, true), signal),
    answerPermission: (sessionId, requestId, answer, signal) =>
      tell(post(session(sessionId, `/permissions/${encodeURIComponent(requestId)}`), answer, false), signal),
    setMode: (sessionId, modeId, signal) => tell(post(session(sessionId, '/mode'), { modeId }, true), signal),
    setConfig: (sessionId, configId, value, signal) =>
      tell(post(session(sessionId, '/config'), { configId, value }, true), signal),
    closeAgentSession: (sessionId, signal) =>
      tell({ method: 'DELETE', path: session(sessionId), idempotent: true }, signal),
    async followJournal(sessionId, from, signal) {
      const response = await begin(get(session(sessionId, '/journal'), { from, follow: true }), signal);
      return readJournal(response, from, limits, signal);
    },

    close: () => agent.destroy(),
  };
}

function parseChange(line: string): FileChange {
  let value: unknown;
  try {
    value = parseShallowJson(line);
  } catch (cause) {
    throw badAnswer('a change that is not JSON', cause);
  }
  const change = fileChange.safeParse(value);
  if (!change.success) throw badAnswer('an ill-formed change', change.error);
  return change.data;
}

/** The body as it comes, no faster than it is read; a break in the middle is `sandbox_lost`, never a short file. */
function toWebStream(response: IncomingMessage, signal: AbortSignal): ReadableStream<Uint8Array> {
  const chunks = (response as Readable as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        throw transportFailure(error, signal);
      }
    },
    cancel() {
      response.destroy();
    },
  });
}
