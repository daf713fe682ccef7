import { performServerHandshake } from 'node:http2';
import type { ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { GatewayAttachment } from '../core/ports/gateway.ts';
import type { Logger } from '../core/ports/logger.ts';

/**
 * The server's end of the gateway channel: the runner is an HTTP/2 client on `duplex` and opens one
 * CONNECT stream (RFC 9113, 8.5) for each TCP connection made to the gateway's port inside the
 * sandbox. `duplex` is owned from here on and closed with the attachment.
 *
 * The peer is hostile: the number of streams, the size of header blocks and the memory of the
 * session are bounded by the HTTP/2 layer, which also limits how fast streams may be reset.
 *
 * Do not join two ends by `duplexPair`: Node's HTTP/2 (24.21) stalls when a write re-enters the
 * other end's read in the same tick. Any stream with an event loop's turn between does.
 */
export interface ChannelHandler {
  /** A raw byte stream, the one inside's connection. The handler owns it. */
  onConnection(stream: Duplex): void;
}

/** As many connections as one sandbox may hold open at once; an agent with its tools needs some ten. */
const maxConcurrentStreams = 128;
/** Per stream. A model call with images is some megabytes; the protocol's 64 KiB throttle it over a far connection. */
const streamWindowBytes = 512 * 1024;
/** Of the whole channel. */
const sessionWindowBytes = 4 * 1024 * 1024;
/** CONNECT carries two pseudo-headers. */
const maxHeaderListBytes = 4096;
const maxHeaderPairs = 16;

export function attachGateway(duplex: Duplex, handler: ChannelHandler, logger: Logger): GatewayAttachment {
  const session = performServerHandshake(duplex, {
    maxHeaderListPairs: maxHeaderPairs,
    maxSessionMemory: 64,
    maxOutstandingPings: 4,
    maxSettings: 16,
    settings: {
      maxConcurrentStreams,
      initialWindowSize: streamWindowBytes,
      maxHeaderListSize: maxHeaderListBytes,
      enablePush: false,
    },
  });
  const closed = new Promise<void>((resolve) => {
    duplex.once('close', () => {
      session.destroy();
      resolve();
    });
  });
  session.once('close', () => duplex.destroy());
  session.once('connect', () => session.setLocalWindowSize(sessionWindowBytes));
  session.on('error', (error) => logger.debug({ cause: error.message }, 'gateway channel broke'));
  duplex.on('error', (error) => logger.debug({ cause: error.message }, 'gateway channel lost'));

  session.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', (error) => logger.debug({ cause: error.message }, 'gateway stream broke'));
    if (headers[':method'] !== 'CONNECT') {
      stream.respond({ ':status': 405 }, { endStream: true });
      return;
    }
    stream.respond({ ':status': 200 });
    handler.onConnection(stream);
  });

  return {
    closed,
    close() {
      session.destroy();
      duplex.destroy();
    },
  };
}
