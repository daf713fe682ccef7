import { request as httpRequest, type ClientRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Readable } from 'node:stream';
import type { BerthError } from '../../protocol/errors.ts';
import { runnerFailure } from '../../protocol/runner-failure.ts';
import { parseShallowJson } from '../../protocol/shallow-json.ts';
import type { DialAgent } from './agent.ts';
import { badAnswer, transportFailure } from './failure.ts';

/** Of an error's body, which holds no data. */
const maxErrorBytes = 64 * 1024;

export interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it comes, once the runner has said that it wants it. */
  stream?: AsyncIterable<Uint8Array>;
  /** Whether sending it twice is the same as once. */
  idempotent: boolean;
}

export interface Connection {
  agent: DialAgent;
  token: string;
}

/**
 * Sends a call and resolves with its answer, whose body the caller reads. A status of 400 and above throws the runner's
 * error. A kept connection that turns out to be closed before it answered anything is replaced once, for a call
 * that may be sent twice.
 */
export async function send(connection: Connection, call: Call, signal: AbortSignal): Promise<IncomingMessage> {
  for (let attempt = 1; ; attempt++) {
    let request: ClientRequest | undefined;
    let response: IncomingMessage;
    try {
      signal.throwIfAborted();
      request = open(connection, call, signal);
      response = await responseOf(request, call.stream, signal);
    } catch (error) {
      const mayRepeat = attempt === 1 && request?.reusedSocket === true && call.idempotent && call.stream === undefined;
      if (mayRepeat && !signal.aborted && isDisconnect(error)) continue;
      throw transportFailure(error, signal);
    }
    if ((response.statusCode ?? 500) < 400) return response;
    throw await readFailure(response, signal);
  }
}

/** The whole body, as JSON. */
export async function readJson(response: IncomingMessage, maxBytes: number, signal: AbortSignal): Promise<unknown> {
  const text = await readText(response, maxBytes, signal);
  try {
    return parseShallowJson(text);
  } catch (cause) {
    throw badAnswer('an answer that is not JSON', cause);
  }
}

/** The error that a refusing answer carries. */
export async function readFailure(response: IncomingMessage, signal: AbortSignal): Promise<BerthError> {
  const status = response.statusCode ?? 500;
  const text = await readText(response, maxErrorBytes, signal);
  let body: unknown = null;
  try {
    body = parseShallowJson(text);
  } catch {
    // The status says enough.
  }
  return runnerFailure(body, status);
}

export function targetOf({ path, query = {} }: Pick<Call, 'path' | 'query'>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? path : `${path}?${search}`;
}

function open({ agent, token }: Connection, call: Call, signal: AbortSignal): ClientRequest {
  const body = call.json === undefined ? undefined : Buffer.from(JSON.stringify(call.json));
  const options: RequestOptions = {
    agent,
    method: call.method,
    path: targetOf(call),
    signal,
    headers: {
      host: 'runner',
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }),
      ...(call.stream === undefined ? {} : { expect: '100-continue' }),
    },
  };
  const request = httpRequest(options);
  if (call.stream === undefined) request.end(body);
  else request.flushHeaders();
  return request;
}

function responseOf(
  request: ClientRequest,
  stream: AsyncIterable<Uint8Array> | undefined,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    // Node tells an aborted request nothing as long as its connection is being made.
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    request.once('close', () => {
      signal.removeEventListener('abort', onAbort);
      // Node says no more than this when a protocol is switched that nobody asked to switch.
      reject(new Error('the connection ended without an answer'));
    });
    request.once('response', resolve);
    // Stays for the request's whole life: a broken connection after the answer is the body's to report.
    request.on('error', reject);
    if (stream === undefined) return;
    request.once('continue', () => {
      const body = Readable.from(stream, { objectMode: false });
      body.once('error', (error) => request.destroy(error));
      request.once('close', () => body.destroy());
      body.pipe(request);
    });
  });
}

async function readText(response: IncomingMessage, maxBytes: number, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) throw badAnswer(`more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw transportFailure(error, signal);
  }
  return Buffer.concat(chunks, size).toString('utf8');
}

function isDisconnect(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ECONNRESET' || code === 'EPIPE';
}
