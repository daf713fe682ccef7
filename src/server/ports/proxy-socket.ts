import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WSEvents } from 'hono/ws';
import { WebSocket, type RawData } from 'ws';
import { BerthError } from '../../protocol/errors.ts';
import { requestHeaders, type PortAddress } from './headers.ts';
import { offeredProtocols } from './subprotocols.ts';

const handshakeTimeoutMs = 30_000;

export interface InnerSocket {
  socket: WebSocket;
  /** What the server inside chose of the offered subprotocols. */
  protocol: string | null;
  /** What came before the outer socket was there. */
  early: { data: RawData; isBinary: boolean }[];
}

/** Opens the WebSocket to the server inside, before the caller's own is accepted: a refusal becomes an answer. */
export async function openInnerSocket(
  request: Request,
  stream: Duplex,
  path: string,
  address: PortAddress,
): Promise<InnerSocket> {
  const socket = new WebSocket(`ws://localhost:${address.port}${path}`, offeredProtocols(request.headers), {
    createConnection: () => stream as Socket,
    headers: requestHeaders(request.headers, address, new URL(request.url)),
    handshakeTimeout: handshakeTimeoutMs,
    perMessageDeflate: false,
  });
  const early: InnerSocket['early'] = [];
  socket.on('message', (data, isBinary) => early.push({ data, isBinary }));
  try {
    await once(socket, 'open');
  } catch (cause) {
    stream.destroy();
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `the server on port ${address.port} refused the WebSocket: ${why}`;
    throw new BerthError('upstream_failed', message, { field: 'port', cause });
  }
  // A break is told by `close`, which always follows.
  socket.on('error', () => {});
  return { socket, protocol: socket.protocol === '' ? null : socket.protocol, early };
}

/** Joins the caller's socket to the one inside: messages, their kind and the close go both ways. */
export function joinSockets({ socket: inner, early }: InnerSocket): WSEvents {
  return {
    onOpen(_event, ws) {
      const outer = ws.raw as WebSocket;
      const send = (data: RawData, isBinary: boolean) => {
        outer.send(data, { binary: isBinary }, () => inner.resume());
        if (outer.bufferedAmount > highWaterBytes) inner.pause();
      };
      inner.removeAllListeners('message');
      for (const { data, isBinary } of early.splice(0)) send(data, isBinary);
      inner.on('message', send);
      inner.on('close', (code, reason) => closeWith(outer, code, reason));
      if (inner.readyState >= WebSocket.CLOSING) outer.close(1011);
    },
    onMessage({ data }, ws) {
      if (inner.readyState !== WebSocket.OPEN) return;
      const outer = ws.raw as WebSocket;
      inner.send(data as string | ArrayBuffer, () => outer.resume());
      if (inner.bufferedAmount > highWaterBytes) outer.pause();
    },
    onClose: ({ code, reason }) => closeWith(inner, code, reason),
    onError: () => inner.close(1011),
  };
}

/** What may wait on its way to a reader that is slower than the writer. */
const highWaterBytes = 1024 * 1024;

/** Codes that a peer may send; the others say how a connection ended without one. */
function closeWith(socket: WebSocket, code: number, reason: string | Buffer): void {
  const sendable =
    (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
  if (sendable) socket.close(code, reason);
  else socket.close(code === 1005 ? 1000 : 1011);
}
