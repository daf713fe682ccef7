import { BerthError } from '../protocol/errors.ts';
import { delay } from './delay.ts';

/** One TCP connection to a port inside a sandbox. Each direction ends by itself. */
export interface ForwardedConnection {
  /** What the server inside sends, to its end. One reader only. Throws `unavailable` when the connection breaks. */
  output: AsyncIterable<Uint8Array>;
  /** Resolves when the connection has taken most of it, so that a caller can pace itself. */
  write(bytes: Uint8Array): Promise<void>;
  /** Nothing more is sent; what comes is still read. */
  end(): void;
  close(): void;
}

const writeChunkBytes = 64 * 1024;
/** What may be on its way before `write` waits. */
const highWaterBytes = 1024 * 1024;

/** Speaks over an open WebSocket: binary messages are the bytes, an empty one is the end of a direction. */
export function forwardOverSocket(socket: WebSocket): ForwardedConnection {
  const queue: Uint8Array[] = [];
  let ended = false;
  let broken: BerthError | null = null;
  let wake = (): void => undefined;
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('message', ({ data }) => {
    if (!(data instanceof ArrayBuffer)) return;
    if (data.byteLength === 0) ended = true;
    else queue.push(new Uint8Array(data));
    wake();
  });
  // `error` says nothing, and `close` always follows it.
  socket.addEventListener('close', ({ reason }) => {
    if (!ended)
      broken = new BerthError('unavailable', `the connection to the port was lost${reason ? `: ${reason}` : ''}`);
    ended = true;
    wake();
  });

  async function* output(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = queue.shift();
      if (chunk !== undefined) yield chunk;
      else if (broken !== null) throw broken;
      else if (ended) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const isOpen = () => socket.readyState === WebSocket.OPEN;

  return {
    output: output(),
    async write(bytes) {
      for (let at = 0; at < bytes.length && isOpen(); at += writeChunkBytes) {
        socket.send(bytes.slice(at, at + writeChunkBytes));
        // WebSocket has no event for "drained", only this counter.
        while (isOpen() && socket.bufferedAmount > highWaterBytes) await delay(5);
      }
    },
    end: () => {
      if (isOpen()) socket.send(new Uint8Array());
    },
    close: () => socket.close(1000),
  };
}
