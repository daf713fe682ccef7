import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve, type WebSocketServerLike } from '@hono/node-server';
import { WebSocketServer } from 'ws';
import { BerthError } from '../protocol/errors.ts';
import type { Router } from '../server/context.ts';
import { answerProtocol } from '../server/ports/subprotocols.ts';

export interface HttpServer {
  url: string;
  close(): Promise<void>;
}

/** Largest WebSocket message: one frame of a process, or one prompt. */
const maxMessageBytes = 4 * 1024 * 1024;

/** Listens; resolves when it can be called. Throws `conflict` when the address is taken. */
export async function listen(app: Router, host: string, port: number): Promise<HttpServer> {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxMessageBytes,
    handleProtocols: answerProtocol,
  });
  // The cast: `ws` types its events more narrowly than the adapter asks, which strict optional types refuse.
  const server = serve({ fetch: app.fetch, hostname: host, port, websocket: { server: sockets as unknown as WebSocketServerLike } }) as Server;
  try {
    await Promise.race([
      once(server, 'listening'),
      once(server, 'error').then(([error]) => Promise.reject(error as Error)),
    ]);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new BerthError('conflict', `cannot listen on ${host}:${port}: ${code ?? 'unknown error'}`, { field: 'BERTH_PORT', cause });
  }
  const address = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`,
    async close() {
      for (const socket of sockets.clients) socket.close(1001, 'the server ends');
      const closed = once(server, 'close');
      server.close();
      // Streams would keep it open for ever; clients come back by themselves.
      server.closeAllConnections();
      await closed;
    },
  };
}
