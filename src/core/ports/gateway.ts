import type { Duplex } from 'node:stream';

/** The server's end of a sandbox's only way out. Holds the secrets; the sandbox holds a placeholder. */
export interface Gateway {
  /** The credential the sandbox gets: bound to the session, worthless outside its own channel. */
  placeholderKey(sessionId: string): string;
  /** Serves the connections that a sandbox opens on this stream, as this session. */
  attach(sessionId: string, stream: Duplex): GatewayAttachment;
}

export interface GatewayAttachment {
  /** Resolves when the stream ended, for whatever reason; never rejects. */
  closed: Promise<void>;
  close(): void;
}
