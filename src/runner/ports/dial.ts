import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { BerthError } from '../../protocol/errors.ts';
import { joinStreams } from '../join-streams.ts';
import type { UpgradeContext } from '../upgrade.ts';

/** `GET /ports/:port`, `Upgrade: tcp`: a raw stream to the loopback port. `unavailable` when nobody listens. */
export async function dialPort({ params, accept }: UpgradeContext): Promise<void> {
  const port = Number(params['port']);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new BerthError('invalid_request', 'a port is an integer from 1 to 65535', { field: 'port' });
  }
  const target = (await tryConnect('127.0.0.1', port)) ?? (await tryConnect('::1', port));
  if (target === null) throw new BerthError('unavailable', `nothing listens on port ${port}`, { context: { port } });
  joinStreams(accept(), target);
}

async function tryConnect(host: string, port: number): Promise<Socket | null> {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  try {
    await once(socket, 'connect');
    return socket;
  } catch {
    socket.destroy();
    return null;
  }
}
