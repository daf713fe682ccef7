import type { Duplex } from 'node:stream';
import type { WSEvents } from 'hono/ws';
import { drained } from './session-socket.ts';
import { flowOf, toBytes } from './socket-data.ts';

/**
 * A TCP connection to a port over one WebSocket: binary messages are its bytes, an empty one is the end of one
 * direction, and the close ends it.
 */
export function openForwardSocket(stream: Duplex): WSEvents {
  const stop = new AbortController();
  const end = () => {
    stop.abort();
    stream.destroy();
  };
  return {
    async onOpen(_event, ws) {
      stream.on('drain', () => flowOf(ws).resume());
      try {
        for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<
          Uint8Array<ArrayBuffer>
        >) {
          ws.send(chunk);
          await drained(ws, stop.signal);
        }
        ws.send(new Uint8Array());
        // Its other direction may go on.
        if (!stream.writableFinished) await new Promise((resolve) => stream.once('close', resolve));
        ws.close(1000);
      } catch {
        ws.close(1011, 'the connection broke');
      }
    },
    onMessage({ data }, ws) {
      const bytes = toBytes(data);
      if (bytes === null) ws.close(1003, 'a message is bytes');
      else if (bytes.length === 0) stream.end();
      else if (!stream.write(bytes)) flowOf(ws).pause();
    },
    onClose: end,
    onError: end,
  };
}
