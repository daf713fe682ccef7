import { lstat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../protocol/errors.ts';
import { connectSocket } from '../connect-socket.ts';

/**
 * Where the host reaches a line of a guest: at a socket that the machine has for that line alone, or at a port of the
 * guest's vsock, which the machine puts behind one socket for all ports.
 */
export type LineAddress = string | VsockAddress;

export interface VsockAddress {
  socket: string;
  port: number;
}

/** Names a line in tables and messages. */
export function lineName(address: LineAddress): string {
  return typeof address === 'string' ? address : `${address.socket}:${address.port}`;
}

/** Between two tries to reach a guest that does not listen yet. */
const retryMs = 20;
/** An answer to CONNECT is `OK` and a number of 32 bits. */
const maxAnswerBytes = 32;

/** Rejects with the system's error when the machine does not run. A guest that does not listen yet is waited for. */
export async function connectLine(address: LineAddress, signal: AbortSignal): Promise<Socket> {
  if (typeof address === 'string') return connectSocket(address, signal);
  for (;;) {
    const socket = await connectVsock(address, signal);
    if (socket !== null) return socket;
    signal.throwIfAborted();
    await sleep(retryMs);
  }
}

/** Firecracker, docs/vsock.md, host-initiated connections. `null`: nothing listens at the port. */
async function connectVsock({ socket: path, port }: VsockAddress, signal: AbortSignal): Promise<Socket | null> {
  // The machine's user makes it: anything but a socket could lead to one of somebody else.
  if (!(await lstat(path)).isSocket()) throw new BerthError('sandbox_lost', 'the machine has no socket for its lines');
  const socket = await connectSocket(path, signal);
  const answer = readAnswer(socket, signal);
  socket.write(`CONNECT ${port}\n`);
  return (await answer) ? socket : null;
}

/** Resolves to whether the line is open; what comes after the answer stays in the stream. */
function readAnswer(socket: Socket, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      socket.off('readable', read);
      socket.off('end', closed);
      socket.off('close', closed);
      signal.removeEventListener('abort', abort);
    };
    const refuse = () => {
      settle();
      socket.destroy();
      resolve(false);
    };
    let said = '';
    const read = () => {
      // Byte by byte: the first one after the line is not ours.
      for (let byte = socket.read(1) as Buffer | null; byte !== null; byte = socket.read(1) as Buffer | null) {
        said += byte.toString('latin1');
        if (said.endsWith('\n')) {
          if (!/^OK \d+\n$/.test(said)) return refuse();
          settle();
          return resolve(true);
        }
        if (said.length > maxAnswerBytes) return refuse();
      }
    };
    const closed = () => refuse();
    const abort = () => {
      settle();
      socket.destroy();
      reject(signal.reason as Error);
    };
    socket.on('readable', read);
    socket.once('end', closed);
    socket.once('close', closed);
    signal.addEventListener('abort', abort, { once: true });
  });
}
