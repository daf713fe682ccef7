import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Readable, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import { BerthError } from '../../protocol/errors.ts';
import { requestHeaders, responseHeaders, type PortAddress } from './headers.ts';

/** How long the server inside may take to begin its answer; from then on it may take as long as it likes. */
const answerTimeoutMs = 2 * 60_000;

const withoutBody = new Set([204, 205, 304]);

/** One HTTP request over an open stream to a port; both bodies are streamed. Throws `upstream_failed`, `timeout`. */
export async function proxyHttp(
  request: Request,
  stream: Duplex,
  path: string,
  address: PortAddress,
): Promise<Response> {
  const { port } = address;
  const url = new URL(request.url);
  const outgoing = httpRequest({
    createConnection: () => stream as Socket,
    method: request.method,
    path,
    headers: requestHeaders(request.headers, address, url),
    setHost: false,
  });
  const abort = () => stream.destroy();
  request.signal.addEventListener('abort', abort, { once: true });
  stream.once('close', () => request.signal.removeEventListener('abort', abort));

  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.on('error', reject);
    // One that is not asked for, with a body of another protocol.
    outgoing.once('upgrade', () => reject(new Error('it switched protocols unasked')));
  });
  const timer = setTimeout(() => {
    outgoing.destroy(
      new BerthError('timeout', `the server on port ${port} did not answer within ${answerTimeoutMs / 1000} s`),
    );
  }, answerTimeoutMs);
  try {
    if (request.body === null) outgoing.end();
    else {
      // A server that answers before it has read everything breaks this off; its answer is what counts.
      void pipeline(Readable.fromWeb(request.body as NodeReadableStream<Uint8Array>), outgoing).catch(() => {});
    }
    const response = await answered;
    return toResponse(response, request.method, stream, address);
  } catch (cause) {
    stream.destroy();
    if (cause instanceof BerthError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new BerthError('upstream_failed', `the server on port ${port} did not answer: ${why}`, {
      field: 'port',
      cause,
    });
  } finally {
    clearTimeout(timer);
  }
}

function toResponse(response: IncomingMessage, method: string, stream: Duplex, address: PortAddress): Response {
  const status = response.statusCode ?? 502;
  const headers = responseHeaders(response.rawHeaders, address);
  if (method === 'HEAD' || withoutBody.has(status)) {
    response.resume();
    response.once('end', () => stream.destroy());
    return new Response(null, { status, headers });
  }
  response.once('close', () => stream.destroy());
  return new Response(Readable.toWeb(response) as ReadableStream<Uint8Array>, { status, headers });
}
