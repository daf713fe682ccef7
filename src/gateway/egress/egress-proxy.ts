import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline, type Duplex } from 'node:stream';
import type { EgressTarget } from '../../core/egress/judge-egress.ts';
import type { EgressControl } from '../../core/ports/egress.ts';
import { BerthError } from '../../protocol/errors.ts';
import { withoutHopByHop } from '../headers.ts';
import { parseAuthority, parseProxiedUrl } from './parse-egress-target.ts';
import type { PublicDial } from './public-dial.ts';

/**
 * An HTTP proxy for what runs in a sandbox: CONNECT for TLS and anything else, absolute `http://` targets for plain
 * HTTP. Whose sandbox it is comes from the channel. Each connection is judged by the session's policy, then by the
 * address that its name resolves to; both answers are recorded. What is refused is told in words that an agent can
 * act on.
 */
export interface EgressProxy {
  connect(sessionId: string, request: IncomingMessage, client: Duplex, head: Buffer): void;
  /** False for a target that is no proxied URL. */
  forward(sessionId: string, request: IncomingMessage, response: ServerResponse): boolean;
}

export interface EgressProxyOptions {
  control: EgressControl;
  dial: PublicDial;
  /** A tunnel on which nothing moves for this long is closed. Default 15 min. */
  idleTimeoutMs?: number;
}

interface Refusal {
  status: 400 | 403 | 502;
  message: string;
}

type Opened = { socket: Socket } | { refusal: Refusal };

export function createEgressProxy({ control, dial, idleTimeoutMs = 15 * 60_000 }: EgressProxyOptions): EgressProxy {
  async function open(sessionId: string, target: EgressTarget, signal: AbortSignal): Promise<Opened> {
    const judgement = await control.judge(sessionId, target);
    if (!judgement.allowed) {
      control.record(sessionId, target, judgement);
      return { refusal: { status: 403, message: howToAllow(sessionId, target) } };
    }
    try {
      const socket = await dial(target.host, target.port, signal);
      control.record(sessionId, target, judgement);
      return { socket };
    } catch (error) {
      if (error instanceof BerthError && error.code === 'forbidden') {
        control.record(sessionId, target, { allowed: false, reason: 'it is not a public address' });
        return { refusal: { status: 403, message: `${error.message}: a sandbox reaches public addresses only` } };
      }
      control.record(sessionId, target, judgement);
      return { refusal: { status: 502, message: error instanceof BerthError ? error.message : 'the connection failed' } };
    }
  }

  return {
    connect(sessionId, request, client, head) {
      const gone = goneSignal(client);
      client.on('error', () => client.destroy());
      const target = parseAuthority(request.url ?? '');
      if (target === null) return refuse(client, { status: 400, message: 'CONNECT needs host:port' });
      void open(sessionId, target, gone).then((opened) => {
        if ('refusal' in opened) return refuse(client, opened.refusal);
        const { socket } = opened;
        if (gone.aborted) return void socket.destroy();
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        if (head.length > 0) socket.write(head);
        join(client, socket, idleTimeoutMs);
      });
    },

    forward(sessionId, request, response) {
      const parsed = parseProxiedUrl(request.url ?? '');
      if (parsed === null) return false;
      const gone = goneSignal(response);
      const fail = ({ status, message }: Refusal) => {
        if (response.headersSent) return response.destroy();
        request.resume();
        response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
        return response.end(`Berth: ${message}\n`);
      };
      void open(sessionId, parsed.to, gone).then((opened) => {
        if ('refusal' in opened) return fail(opened.refusal);
        if (gone.aborted) return opened.socket.destroy();
        const headers = { ...requestHeaders(request.headers), host: parsed.authority };
        const { method = 'GET' } = request;
        const outgoing = httpRequest({ method, path: parsed.path, headers, setHost: false, createConnection: () => opened.socket });
        outgoing.setTimeout(idleTimeoutMs, () => outgoing.destroy(new Error('nothing came')));
        outgoing.once('response', (answer) => {
          response.writeHead(answer.statusCode ?? 502, withoutHopByHop(answer.headers));
          // Head and body in one vectored write come out mangled at the far end of an HTTP/2 stream (Node 24.21).
          response.flushHeaders();
          pipeline(answer, response, () => opened.socket.destroy());
        });
        outgoing.on('error', () => fail({ status: 502, message: `${parsed.to.host} broke the connection` }));
        gone.addEventListener('abort', () => outgoing.destroy(), { once: true });
        return pipeline(request, outgoing, () => undefined);
      });
      return true;
    },
  };
}

/** One request on a connection of its own. */
function requestHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return { ...withoutHopByHop(headers), connection: 'close' };
}

function howToAllow(sessionId: string, { host, port }: EgressTarget): string {
  const rule = port === 80 || port === 443 ? host : `${host}:${port}`;
  return `this session may not reach ${host}:${port}. A person can allow it with: berth egress allow ${sessionId} ${rule}`;
}

function refuse(client: Duplex, { status, message }: Refusal): void {
  const body = `Berth: ${message}\n`;
  const reason = { 400: 'Bad Request', 403: 'Forbidden', 502: 'Bad Gateway' }[status];
  client.end(
    `HTTP/1.1 ${status} ${reason}\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** Both directions with their ends; a break on one side breaks the other. */
function join(client: Duplex, socket: Socket, idleTimeoutMs: number): void {
  socket.setTimeout(idleTimeoutMs, () => socket.destroy());
  const breakBoth = () => {
    client.destroy();
    socket.destroy();
  };
  socket.on('error', breakBoth);
  client.on('error', breakBoth);
  client.once('close', () => socket.destroy());
  // Its end has been passed on by then, if it had one.
  socket.once('close', () => {
    if (!client.writableEnded) client.destroy();
  });
  client.pipe(socket);
  socket.pipe(client);
}

function goneSignal(stream: Duplex | ServerResponse): AbortSignal {
  const controller = new AbortController();
  stream.once('close', () => controller.abort());
  return controller.signal;
}
