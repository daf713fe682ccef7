import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import type { Hono } from 'hono';
import { WebSocketServer, type WebSocket } from 'ws';

/** A Hono app on a loopback port, as a real server that tests cut, stop and start again. */
export interface ServedApp {
  url: string;
  port: number;
  close(): Promise<void>;
}

export async function serveApp(
  app: Hono,
  options: { port?: number; onSocket?: (socket: WebSocket, path: string) => void; token?: string } = {},
): Promise<ServedApp> {
  const server = serve({ fetch: app.fetch, port: options.port ?? 0, hostname: '127.0.0.1' });
  if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => (offered.has('berth') ? 'berth' : false),
  });
  server.on('upgrade', (request: import('node:http').IncomingMessage, socket, head) => {
    const offered = request.headers['sec-websocket-protocol'] ?? '';
    if (!offered.split(', ').includes(`berth.token.${options.token ?? 'secret'}`) || !options.onSocket) {
      socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (ws) => options.onSocket?.(ws, request.url ?? ''));
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        for (const ws of sockets.clients) ws.terminate();
        if ('closeAllConnections' in server) server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
