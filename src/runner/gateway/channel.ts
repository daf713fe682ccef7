import { connect, constants, type ClientHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { joinStreams } from '../join-streams.ts';

/** Over a distant provider the default 64 KiB window would hold a download to 1 MB/s at 60 ms. */
const streamWindowBytes = 1024 * 1024;
const channelWindowBytes = 4 * 1024 * 1024;
/** A replaced channel may finish its streams, if its far end still lives. */
const pingTimeoutMs = 10_000;

export interface Channel {
  readonly alive: boolean;
  /**
   * Opens one CONNECT stream and joins it to `socket`. Calls `onRefused` when the channel ends before the far
   * side accepted: nothing was sent, the connection can go to another channel.
   */
  forward(socket: Socket, onRefused: () => void): void;
  /** No new streams; ends when the running ones do, or at once when the far end is dead. */
  retire(): void;
}

/** Makes the runner the HTTP/2 client on `transport`. */
export function createChannel(transport: Duplex, onClose: () => void): Channel {
  const session = connect('http://gateway', {
    createConnection: () => transport,
    settings: { enablePush: false, initialWindowSize: streamWindowBytes },
  });
  // The transport comes from an HTTP server, whose sockets outlive the peer's end: a server that was killed would
  // seem alive for ever.
  transport.once('end', () => session.destroy());
  session.once('connect', () => session.setLocalWindowSize(channelWindowBytes));
  session.on('error', () => undefined);
  session.once('close', onClose);
  // A GOAWAY closes the session to new streams before it ends.
  session.once('goaway', onClose);
  return {
    get alive() {
      return !session.closed && !session.destroyed;
    },
    forward: (socket, onRefused) => forward(session, socket, onRefused),
    retire() {
      if (session.destroyed) return;
      endUnlessAnswered(session);
      session.close();
    },
  };
}

function forward(session: ClientHttp2Session, socket: Socket, onRefused: () => void): void {
  const stream = session.request({ ':method': 'CONNECT', ':authority': 'gateway' }, { endStream: false });
  let answered = false;
  const onSocketClose = () => stream.close(constants.NGHTTP2_CANCEL);
  socket.once('close', onSocketClose);
  stream.on('error', () => undefined);
  stream.once('response', (headers) => {
    answered = true;
    socket.off('close', onSocketClose);
    if (headers[':status'] !== 200) {
      stream.close(constants.NGHTTP2_CANCEL);
      socket.resetAndDestroy();
      return;
    }
    stream.once('aborted', () => socket.resetAndDestroy());
    joinStreams(socket, stream);
  });
  stream.once('close', () => {
    if (answered) return;
    socket.off('close', onSocketClose);
    if (socket.destroyed) return;
    // On a live channel the far side has refused it; otherwise the channel went, and another may take it.
    if (session.closed || session.destroyed) onRefused();
    else socket.resetAndDestroy();
  });
}

function endUnlessAnswered(session: ClientHttp2Session): void {
  const timer = setTimeout(() => session.destroy(), pingTimeoutMs);
  session.once('close', () => clearTimeout(timer));
  session.ping((error) => {
    if (error === null) clearTimeout(timer);
  });
}
