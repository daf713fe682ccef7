import { openSync, unlinkSync } from 'node:fs';
import { performServerHandshake, type ServerHttp2Stream } from 'node:http2';
import { connect, Socket } from 'node:net';
import { join } from 'node:path';
import {
  encodeAnswer,
  identityPath,
  LinkDecoder,
  LinkStream,
  type RunnerIdentity,
} from '../protocol/serial-link.ts';
import { joinStreams } from './join-streams.ts';

/** An environment is at most this long. */
const maxIdentityBytes = 256 * 1024;

/**
 * Serves the runner's socket on a serial line, for a sandbox that is a machine of its own: the server is the HTTP/2 client,
 * each CONNECT is a connection to the socket. `onIdentity` hears who the server says the runner is.
 */
export function serveLink(
  directory: string,
  socketPath: string,
  onIdentity: (identity: RunnerIdentity) => void,
): void {
  const [input, output] = ['in', 'out'].map((name) => takePipe(join(directory, name))) as [Socket, Socket];
  let stream: LinkStream | null = null;
  const decoder = LinkDecoder.ofRunner();
  input.on('data', (chunk: Buffer) => {
    for (const event of decoder.push(chunk)) {
      if (event.type === 'data') {
        stream?.push(event.payload);
        continue;
      }
      stream?.destroy();
      if (event.type === 'lost') continue;
      output.write(encodeAnswer(event.nonce));
      const opened = new LinkStream(
        (data) => output.write(data),
        () => {
          if (stream === opened) stream = null;
        },
      );
      stream = opened;
      serveConnection(opened, socketPath, onIdentity);
    }
  });
}

/** Opens a pipe, for both directions so that it never ends, and takes its name away: what runs here later must not find it. */
function takePipe(path: string): Socket {
  const fd = openSync(path, 'r+');
  unlinkSync(path);
  const socket = new Socket({ fd, readable: path.endsWith('in'), writable: path.endsWith('out') });
  socket.on('error', () => undefined);
  return socket;
}

function serveConnection(transport: LinkStream, socketPath: string, onIdentity: (identity: RunnerIdentity) => void): void {
  transport.on('error', () => undefined);
  const session = performServerHandshake(transport, { settings: { enablePush: false } });
  session.on('error', () => undefined);
  transport.once('close', () => session.destroy());
  session.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => undefined);
    if (headers[':method'] === 'PUT' && headers[':path'] === identityPath) {
      readIdentity(stream).then(
        (identity) => {
          onIdentity(identity);
          stream.respond({ ':status': 204 }, { endStream: true });
        },
        () => stream.respond({ ':status': 400 }, { endStream: true }),
      );
      return;
    }
    if (headers[':method'] !== 'CONNECT') {
      stream.respond({ ':status': 405 }, { endStream: true });
      return;
    }
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    socket.once('connect', () => {
      stream.respond({ ':status': 200 });
      joinStreams(stream, socket);
    });
    socket.once('error', () => {
      if (!stream.headersSent && !stream.destroyed) stream.respond({ ':status': 503 }, { endStream: true });
    });
  });
}

async function readIdentity(stream: ServerHttp2Stream): Promise<RunnerIdentity> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxIdentityBytes) throw new Error('too long');
    chunks.push(chunk);
  }
  const { token, env } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as RunnerIdentity;
  if (typeof token !== 'string' || token === '' || typeof env !== 'object') throw new Error('not an identity');
  return { token, env };
}
