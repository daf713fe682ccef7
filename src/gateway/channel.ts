import { performServerHandshake } from 'node:http2';
import type { ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { GatewayAttachment } from '../core/ports/gateway.ts';
import type { Logger } from '../core/ports/logger.ts';

export interface ChannelHandler {
  /** A raw byte stream, the one inside's connection. The handler owns it. */
  onConnection(stream: Duplex): void;
}

/** As many connections as one sandbox may hold open at once; an agent with its tools needs some ten. */
const maxConcurrentStreams = 128;
/** CONNECT carries two pseudo-headers. */
const maxHeaderListBytes = 4096;
const maxHeaderPairs = 16;
/** The runner sends its settings once and no pings; each of either costs this process a turn of its loop. */
const maxControlFrames = 64;

/**
 * The server's end of the gateway channel: the runner is an HTTP/2 client on `duplex` and opens one
 * CONNECT stream (RFC 9113, 8.5) for each TCP connection made to the gateway's port inside the
 * sandbox. `duplex` is owned from here on and closed with the attachment.
 *
 * The peer is hostile: the number of streams, the size of header blocks and the memory of the
 * session are bounded by the HTTP/2 layer, which also limits how fast streams may be reset.
 */
export function attachGateway(duplex: Duplex, handler: ChannelHandler, logger: Logger): GatewayAttachment {
  // The windows stay at the protocol's 64 KiB. Node's HTTP/2 does not read from its transport while a
  // write to it is under way (24.21, `Http2Session::MaybeStopReading`), so two ends that both have more on
  // its way than the transport buffers wait for each other for ever. What the sandbox may send at once
  // stays below any socket's buffer; the other direction, governed by the runner's windows, may then be
  // large. A `duplexPair` buffers too little even for this.
  const session = performServerHandshake(duplex, {
    maxHeaderListPairs: maxHeaderPairs,
    maxSessionMemory: 64,
    maxOutstandingPings: 4,
    maxSettings: 16,
    settings: {
      maxConcurrentStreams,
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
  session.on('error', (error) => logger.debug({ cause: error.message }, 'gateway channel broke'));
  duplex.on('error', (error) => logger.debug({ cause: error.message }, 'gateway channel lost'));

  let controlFrames = 0;
  const countControl = () => {
    controlFrames += 1;
    if (controlFrames !== maxControlFrames + 1) return;
    logger.warn({ controlFrames }, 'a gateway channel was flooded');
    duplex.destroy();
  };
  session.on('remoteSettings', countControl);
  session.on('ping', countControl);

  session.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', (error) => logger.debug({ cause: error.message }, 'gateway stream broke'));
    // One that was reset in the same read as it was opened is told of all the same, and throws when it is answered.
    if (stream.destroyed || stream.closed) return;
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
