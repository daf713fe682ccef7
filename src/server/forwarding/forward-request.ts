import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { BerthError } from '../../protocol/errors.ts';
import type { Owner } from './owner.ts';

/** Of one connection only (RFC 9110, 7.6.1), or not for another server: it gets its own proof of who asks. */
const ownHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'cookie',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const bodiless: readonly number[] = [204, 205, 304];

/** Sends a request on as it comes, and gives the answer back as it comes: nothing is kept whole, nothing timed. */
export async function forwardRequest(
  owner: Owner,
  path: string,
  incoming: Request,
  headers: Readonly<Record<string, string>>,
): Promise<Response> {
  const target = new URL(path, owner.address);
  const send = target.protocol === 'https:' ? httpsRequest : httpRequest;
  const outgoing = send(target, {
    method: incoming.method,
    headers: { ...passedOn(incoming.headers), ...headers },
    signal: incoming.signal,
  });
  const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
  if (incoming.body === null) outgoing.end();
  // What goes wrong here is told by `outgoing`, and by an answer that came before the body was through.
  else pipeline(Readable.fromWeb(incoming.body as ReadableStream), outgoing).catch(() => {});
  let answer: IncomingMessage;
  try {
    [answer] = await answered;
  } catch (cause) {
    if (incoming.signal.aborted) throw new BerthError('cancelled', 'the caller left', { cause });
    throw unreachable(owner, cause);
  }
  const status = answer.statusCode ?? 502;
  const body = bodiless.includes(status) ? null : (Readable.toWeb(answer) as unknown as BodyInit);
  if (body === null) answer.resume();
  return new Response(body, { status, headers: passedOn(toHeaders(answer)) });
}

export function unreachable(owner: Owner, cause: unknown): BerthError {
  return new BerthError(
    'unavailable',
    `what this needs is on host ${owner.hostId}, whose server cannot be reached at ${owner.address}`,
    { context: { hostId: owner.hostId }, cause },
  );
}

export function passedOn(headers: Headers): Record<string, string> {
  return Object.fromEntries(
    [...headers].filter(([name]) => !ownHeaders.has(name) && !name.startsWith('sec-websocket-')),
  );
}

function toHeaders({ headersDistinct }: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, values] of Object.entries(headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value);
  }
  return headers;
}
