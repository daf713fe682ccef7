import { existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Server } from 'node:http';
import { restFileSuffix } from '../protocol/runner-launch.ts';

/** How often it is looked whether the rest is over. Only while there is one. */
const lookMs = 20;

/**
 * The listener on the socket, which can rest: some kernels cannot write a socket that reaches outside to disk. A rest
 * ends every connection and takes the socket away, and lasts for as long as there is a file beside it, which whoever asked
 * for it has made.
 */
export function createRestingListener(path: string, listen: () => Server): { rest(): void; close(): void } {
  let sockets = new Set<Socket>();
  let listener = begin();
  let looking: NodeJS.Timeout | undefined;

  function begin(): Server {
    const server = listen();
    sockets = new Set();
    const mine = sockets;
    server.on('connection', (socket: Socket) => {
      mine.add(socket);
      socket.once('close', () => mine.delete(socket));
    });
    return server;
  }

  return {
    rest() {
      if (looking !== undefined) return;
      listener.close();
      for (const socket of sockets) socket.destroy();
      looking = setInterval(() => {
        if (existsSync(`${path}${restFileSuffix}`)) return;
        clearInterval(looking);
        looking = undefined;
        listener = begin();
      }, lookMs);
    },
    close() {
      clearInterval(looking);
      listener.close();
    },
  };
}
