import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { BerthError } from '../../protocol/errors.ts';
import { gatewayPort } from '../../protocol/runner-api.ts';
import { createNameServer } from '../names/name-server.ts';
import type { UpgradeContext } from '../upgrade.ts';
import { createChannel, type Channel } from './channel.ts';
import { WaitingRoom } from './waiting-room.ts';

/** The server may be restarting; an agent's HTTP client waits about this long before it gives up by itself. */
export const maxWaitMs = 5 * 60_000;

export interface Gateway {
  readonly connected: boolean;
  /** `GET /gateway?port=N`, `Upgrade: berth-gateway`. */
  open(ctx: UpgradeContext): Promise<void>;
  close(): void;
}

export interface GatewayOptions {
  /** How long a connection waits for a channel. */
  waitMs?: number;
  /** Where DNS questions are taken; `null`: nowhere. */
  namesPort: number | null;
}

/**
 * Ports on the sandbox's loopback whose connections leave by one HTTP/2 channel to the server. A port stays
 * open once asked for. States of a connection: *waiting* while no channel lives; *opening* from its CONNECT to the
 * answer, back to waiting when the channel dies; *joined* after 200, broken with the channel; reset
 * when refused or at its deadline. A new channel takes over from the old one, which finishes what it has.
 */
export function createGateway({ waitMs = maxWaitMs, namesPort }: GatewayOptions): Gateway {
  const listeners = new Map<number, Server>();
  const waiting = new WaitingRoom();
  let channel: Channel | null = null;
  const names = namesPort === null ? null : createNameServer(namesPort, () => channel?.alive === true);

  function route(socket: Socket, deadline: number): void {
    if (socket.destroyed) return;
    if (channel?.alive !== true) {
      waiting.add(socket, deadline);
      return;
    }
    channel.forward(socket, () => route(socket, deadline));
  }

  async function listen(port: number): Promise<void> {
    if (listeners.has(port)) return;
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      socket.on('error', () => socket.destroy());
      route(socket, Date.now() + waitMs);
    });
    server.listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch (cause) {
      throw new BerthError('conflict', `port ${port} cannot be listened on`, {
        field: 'port',
        context: { port },
        cause,
      });
    }
    listeners.set(port, server);
    if (port === gatewayPort) names?.open();
  }

  return {
    get connected() {
      return channel?.alive === true;
    },
    async open({ url, accept }) {
      const port = Number(url.searchParams.get('port'));
      if (!Number.isInteger(port) || port < 1024 || port > 65_535) {
        throw new BerthError('invalid_request', 'a port is an integer from 1024 to 65535', { field: 'port' });
      }
      await listen(port);
      const previous = channel;
      const opened = createChannel(accept(), () => {
        if (channel === opened) channel = null;
      });
      channel = opened;
      previous?.retire();
      for (const { socket, deadline } of waiting.takeAll()) route(socket, deadline);
    },
    close() {
      names?.close();
      for (const server of listeners.values()) server.close();
      for (const { socket } of waiting.takeAll()) socket.resetAndDestroy();
      channel?.retire();
    },
  };
}
