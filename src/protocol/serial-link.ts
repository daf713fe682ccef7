import { Duplex } from 'node:stream';

/**
 * A byte stream between the server and a runner over a serial line that outlives both: nothing on such a line says where one
 * connection ends and the next begins, and bytes of the last one may still be on their way. So what is sent goes in frames,
 * and the server opens a connection with more padding than any frame is long and a greeting with a number of its own:
 *
 * - padding and greeting: whatever the runner was in the middle of ends in the padding, which is no frame, and from
 *   then on it looks for a greeting;
 * - the runner's answer has the same number: whatever comes before it is of an earlier connection.
 */
const frameMark = 0xb73e;
const headerBytes = 4;
const maxFrameBytes = 16_384;
const greeting = Buffer.from('berth-link-hello');
const answer = Buffer.from('berth-link-ready');
export const nonceBytes = 16;

/** What the server sends first. */
export function encodeGreeting(nonce: Uint8Array): Buffer {
  return Buffer.concat([Buffer.alloc(maxFrameBytes + headerBytes), greeting, nonce]);
}

export function encodeAnswer(nonce: Uint8Array): Buffer {
  return Buffer.concat([answer, nonce]);
}

export function encodeFrames(data: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length; at += maxFrameBytes) {
    const payload = data.subarray(at, at + maxFrameBytes);
    const header = Buffer.alloc(headerBytes);
    header.writeUInt16BE(frameMark, 0);
    header.writeUInt16BE(payload.length, 2);
    parts.push(header, payload);
  }
  return Buffer.concat(parts);
}

/** `lost`: what came is no frame; the connection is over, and nothing of it comes any more. */
export type LinkEvent = { type: 'data'; payload: Buffer } | { type: 'opened'; nonce: Buffer } | { type: 'lost' };

/** Takes a line's bytes apart. `marker`: what opens a connection at this end; `nonce`: the only number that does, `null` for any. */
export class LinkDecoder {
  #pending: Buffer = Buffer.alloc(0);
  #searching = true;
  readonly #marker: Buffer;
  readonly #nonce: Buffer | null;

  private constructor(marker: Buffer, nonce: Buffer | null) {
    this.#marker = marker;
    this.#nonce = nonce;
  }

  static ofRunner(): LinkDecoder {
    return new LinkDecoder(greeting, null);
  }

  static ofServer(nonce: Buffer): LinkDecoder {
    return new LinkDecoder(Buffer.concat([answer, nonce]), nonce);
  }

  push(chunk: Buffer): LinkEvent[] {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const events: LinkEvent[] = [];
    while (this.#searching ? this.#search(events) : this.#takeFrame(events));
    return events;
  }

  #search(events: LinkEvent[]): boolean {
    const at = this.#pending.indexOf(this.#marker);
    if (at < 0) {
      // Its beginning may be the end of what is there.
      this.#pending = this.#pending.subarray(Math.max(0, this.#pending.length - this.#marker.length + 1));
      return false;
    }
    const end = at + this.#marker.length;
    const after = this.#nonce === null ? end + nonceBytes : end;
    if (this.#pending.length < after) return false;
    events.push({ type: 'opened', nonce: this.#nonce ?? Buffer.from(this.#pending.subarray(end, after)) });
    this.#pending = this.#pending.subarray(after);
    this.#searching = false;
    return true;
  }

  #takeFrame(events: LinkEvent[]): boolean {
    if (this.#pending.length < headerBytes) return false;
    const length = this.#pending.readUInt16BE(2);
    if (this.#pending.readUInt16BE(0) !== frameMark || length === 0 || length > maxFrameBytes) {
      this.#searching = true;
      events.push({ type: 'lost' });
      return true;
    }
    if (this.#pending.length < headerBytes + length) return false;
    events.push({ type: 'data', payload: this.#pending.subarray(headerBytes, headerBytes + length) });
    this.#pending = this.#pending.subarray(headerBytes + length);
    return true;
  }
}

/**
 * One connection as a stream. `send` puts bytes on the line; what it cannot take at once it keeps. A write is done as soon as
 * it is handed over: HTTP/2 does not read while it writes, so two ends that waited for each other would wait for ever, and
 * what may be on its way is bounded by its windows.
 */
export class LinkStream extends Duplex {
  readonly #send: (data: Buffer) => void;
  readonly #onClose: () => void;

  constructor(send: (data: Buffer) => void, onClose: () => void) {
    super();
    this.#send = send;
    this.#onClose = onClose;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(encodeFrames(chunk));
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#onClose();
    done(error);
  }
}

/** What the server tells a runner that waits for it: who it is. */
export interface RunnerIdentity {
  token: string;
  env: Record<string, string>;
}

/** Where the server puts the identity; everything else on the line is a CONNECT to the runner's socket. */
export const identityPath = '/identity';
