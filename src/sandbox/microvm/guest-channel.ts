import { randomBytes } from 'node:crypto';
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { BerthError } from '../../protocol/errors.ts';
import {
  encodeGreeting,
  identityPath,
  LinkDecoder,
  LinkStream,
  nonceBytes,
  type RunnerIdentity,
} from '../../protocol/serial-link.ts';
import { connectLine, type LineAddress } from './line.ts';

/** The server's end of a guest's serial line: many streams to the runner's socket over one. The guest is hostile; HTTP/2 bounds what it can hold here. */
export interface GuestChannel {
  readonly alive: boolean;
  /** Says who the runner is. The first thing that a new guest is told. */
  identify(identity: RunnerIdentity, signal: AbortSignal): Promise<void>;
  /** A byte stream to the runner's socket. Rejects with `sandbox_lost` when the guest does not take it. */
  dial(signal: AbortSignal): Promise<Duplex>;
  close(): void;
}

/**
 * Connects to the machine's line, and waits for the runner at the other end, which may take as long as a boot. A line takes
 * one connection at a time: the last one must have been closed.
 */
export async function openGuestChannel(address: LineAddress, signal: AbortSignal): Promise<GuestChannel> {
  const socket = await connectLine(address, signal);
  const nonce = randomBytes(nonceBytes);
  const decoder = LinkDecoder.ofServer(nonce);
  const link = new LinkStream(
    (data) => socket.write(data),
    () => socket.destroy(),
  );
  try {
    await new Promise<void>((resolve, reject) => {
      const abort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      socket.on('data', (chunk: Buffer) => {
        for (const event of decoder.push(chunk)) {
          if (event.type === 'opened') resolve();
          else if (event.type === 'data') link.push(event.payload);
          // The next dial opens another: over this one nothing would ever be answered.
          else socket.destroy();
        }
      });
      socket.once('close', () => {
        signal.removeEventListener('abort', abort);
        reject(new BerthError('sandbox_lost', 'the machine ended while its runner was waited for'));
      });
      socket.write(encodeGreeting(nonce));
    });
  } catch (error) {
    socket.destroy();
    throw error;
  }
  socket.once('close', () => link.destroy());
  return createChannel(link);
}

function createChannel(link: LinkStream): GuestChannel {
  link.on('error', () => {});
  const session = connectHttp2('http://sandbox', {
    createConnection: () => link,
    settings: { enablePush: false },
    maxSessionMemory: 64,
  });
  session.on('error', () => {});
  link.once('close', () => session.destroy());
  return {
    get alive() {
      return !session.closed && !session.destroyed;
    },
    async identify(identity, signal) {
      const stream = session.request({ ':method': 'PUT', ':path': identityPath });
      const answered = statusOf(stream, signal);
      stream.end(JSON.stringify(identity));
      const status = await answered;
      stream.close();
      if (status !== 204) throw new BerthError('upstream_failed', `the runner did not take its identity (${status})`);
    },
    dial: (signal) => dial(session, signal),
    close() {
      session.destroy();
      link.destroy();
    },
  };
}

async function dial(session: ClientHttp2Session, signal: AbortSignal): Promise<Duplex> {
  const stream = session.request({ ':method': 'CONNECT', ':authority': 'sandbox' }, { endStream: false });
  try {
    const status = await statusOf(stream, signal);
    if (status !== 200) throw new BerthError('sandbox_lost', 'the runner does not listen');
  } catch (error) {
    stream.destroy();
    throw error;
  }
  // Until its taker listens, and after: a broken stream is told by `close`, and must not end the server.
  stream.on('error', () => {});
  return writtenAsBytes(stream);
}

/**
 * Node (24.21) sends other bytes than those of a string that is written to an HTTP/2 stream by itself, as a request's head is
 * whose body waits: its memory is given back too early. To be removed when `guest-channel.test.ts` passes without it.
 */
function writtenAsBytes(stream: Duplex): Duplex {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  const bytes = (chunk: unknown, encoding: unknown) =>
    typeof chunk === 'string' ? Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8') : chunk;
  stream.write = (chunk: unknown, ...rest: unknown[]) => write(bytes(chunk, rest[0]), ...rest);
  return stream;
}

function statusOf(stream: ClientHttp2Stream, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    const lost = (cause?: Error) => {
      signal.removeEventListener('abort', abort);
      reject(new BerthError('sandbox_lost', 'the line to the sandbox broke', { cause }));
    };
    stream.once('response', (headers) => {
      signal.removeEventListener('abort', abort);
      resolve(headers[':status'] ?? 0);
    });
    stream.once('error', lost);
    stream.once('close', () => lost());
  });
}
