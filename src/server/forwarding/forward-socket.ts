import type { IncomingMessage } from 'node:http';
import type { WSEvents } from 'hono/ws';
import { WebSocket } from 'ws';
import { fromErrorBody } from '../../protocol/errors.ts';
import { unreachable } from './forward-request.ts';
import type { Owner } from './owner.ts';

const connectTimeoutMs = 15_000;
const maxRefusalBytes = 64 * 1024;
/** Above this what comes from the other side is not read. */
const highWaterBytes = 1024 * 1024;

/** Opens the socket at the owner before the caller's is accepted, so that a refusal there is one here. */
export async function openAtOwner(
  owner: Owner,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<WebSocket> {
  const target = new URL(path, owner.address);
  target.protocol = target.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(target, { headers, handshakeTimeout: connectTimeoutMs, perMessageDeflate: false });
  return new Promise((resolve, reject) => {
    socket.once('open', () => {
      // Until the caller's socket is open there is nobody to give it to.
      socket.pause();
      resolve(socket);
    });
    socket.once('error', (cause) => reject(unreachable(owner, cause)));
    socket.once('unexpected-response', (_request, response: IncomingMessage) => {
      readRefusal(response).then(reject, reject);
    });
  });
}

async function readRefusal(response: IncomingMessage): Promise<Error> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > maxRefusalBytes) break;
  }
  let body: unknown = null;
  try {
    body = JSON.parse(text);
  } catch {
    // Not one of ours; its status says enough.
  }
  return fromErrorBody(body, response.statusCode ?? 502);
}

/** Joins the caller's socket to the owner's. Whichever is slower holds up the other. */
export function joinSockets(owner: WebSocket): WSEvents {
  owner.on('error', () => owner.terminate());
  return {
    onOpen(_event, ws) {
      const caller = ws.raw as WebSocket;
      owner.on('message', (data: Buffer, isBinary) => pass(owner, caller, data, isBinary));
      owner.on('close', (code, reason) => caller.close(sendable(code), reason));
      owner.resume();
    },
    onMessage({ data }, ws) {
      const caller = ws.raw as WebSocket;
      if (typeof data === 'string') pass(caller, owner, Buffer.from(data), false);
      else if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) pass(caller, owner, toBuffer(data), true);
    },
    onClose: ({ code, reason }) => owner.close(sendable(code), reason),
    onError: () => owner.terminate(),
  };
}

function pass(from: WebSocket, to: WebSocket, data: Buffer, binary: boolean): void {
  if (to.readyState !== WebSocket.OPEN) return;
  to.send(data, { binary }, () => {
    if (from.isPaused && to.bufferedAmount <= highWaterBytes) from.resume();
  });
  if (to.bufferedAmount > highWaterBytes) from.pause();
}

function toBuffer(data: ArrayBuffer | ArrayBufferView): Buffer {
  return data instanceof ArrayBuffer ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/** Some codes only describe how a socket ended; they may not be sent (RFC 6455, 7.4.1). */
function sendable(code: number): number {
  return code === 1000 || code === 1001 || code === 1008 || code === 1011 || code >= 3000 ? code : 1011;
}
