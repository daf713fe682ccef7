import { BerthError } from '../protocol/errors.ts';
import type { Transport } from './transport.ts';

/** Offered in every handshake and chosen by the server. */
export const webSocketProtocol = 'berth';
/** A second offered protocol carries the token: a browser's WebSocket cannot set a header. */
export const tokenProtocolPrefix = 'berth.token.';

/**
 * Opens a WebSocket to a path of the API. A refused handshake carries no status to the client, so the
 * caller gives `explain`, an ordinary request to the same resource whose error tells the reason.
 */
export async function openWebSocket(
  transport: Transport,
  path: string,
  options: {
    query?: Record<string, string | number | undefined>;
    signal?: AbortSignal | undefined;
    explain: () => Promise<unknown>;
    /** Called before anything can arrive: a message may come together with the opening. */
    prepare?: (socket: WebSocket) => void;
  },
): Promise<WebSocket> {
  const url = transport.url(path, options.query);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  let socket: WebSocket;
  try {
    const { token } = transport;
    socket = new WebSocket(
      url,
      token === null ? [webSocketProtocol] : [webSocketProtocol, tokenProtocolPrefix + token],
    );
  } catch (error) {
    throw new BerthError('invalid_request', 'the token has characters that a WebSocket handshake cannot carry', {
      field: 'token',
      cause: error,
    });
  }
  socket.binaryType = 'arraybuffer';
  options.prepare?.(socket);
  const opened = await new Promise<boolean>((resolve, reject) => {
    const onAbort = (): void => {
      socket.close();
      reject(new BerthError('cancelled', 'the operation was cancelled'));
    };
    if (options.signal?.aborted) return onAbort();
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const settle = (value: boolean) => (): void => {
      options.signal?.removeEventListener('abort', onAbort);
      resolve(value);
    };
    socket.addEventListener('open', settle(true), { once: true });
    socket.addEventListener('error', settle(false), { once: true });
    socket.addEventListener('close', settle(false), { once: true });
  });
  if (opened) return socket;
  await options.explain();
  throw new BerthError('unavailable', `the server refused the WebSocket at ${url.pathname}`);
}
