import { connect, type Socket } from 'node:net';

/** Connects to a unix socket. Rejects with the system's error, or with the signal's reason. */
export async function connectSocket(path: string, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const socket = connect({ path });
  const abort = () => socket.destroy(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    // Until its taker listens, and after: a broken stream is told by `close`, and must not end the server.
    socket.on('error', () => {});
    return socket;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
