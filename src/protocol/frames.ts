/**
 * Frames of the attached-process stream (`Upgrade: berth-process`): one byte of type, four bytes of
 * big-endian length, then the payload. Both directions use the same shape, so a byte stream of any
 * provider carries stdin, stdout, stderr, resize and exit without a port or a second connection.
 */
export const frameType = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  /** JSON `{ exitCode: number | null, signal: string | null }`; the last frame. */
  exit: 3,
  /** No payload: end of stdin. */
  stdinEnd: 4,
  /** JSON `{ cols, rows }`. */
  resize: 5,
  /** JSON `{ code, message }`; the last frame. */
  error: 6,
} as const;
export type FrameType = (typeof frameType)[keyof typeof frameType];

export interface Frame {
  type: FrameType;
  payload: Uint8Array;
}

const headerBytes = 5;
/** A frame above this is refused: the peer is hostile or broken. */
export const maxFrameBytes = 1024 * 1024;

export function encodeFrame(type: FrameType, payload: Uint8Array | string = ''): Uint8Array {
  const body = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
  const out = new Uint8Array(headerBytes + body.length);
  out[0] = type;
  new DataView(out.buffer).setUint32(1, body.length);
  out.set(body, headerBytes);
  return out;
}

/** Cuts a byte stream into frames. `push` throws `RangeError` on an over-long or unknown frame. */
export class FrameDecoder {
  #rest: Uint8Array = new Uint8Array(0);

  push(chunk: Uint8Array): Frame[] {
    const buffer = this.#rest.length === 0 ? chunk : concat(this.#rest, chunk);
    const frames: Frame[] = [];
    let offset = 0;
    while (buffer.length - offset >= headerBytes) {
      const view = new DataView(buffer.buffer, buffer.byteOffset + offset, headerBytes);
      const type = view.getUint8(0);
      const length = view.getUint32(1);
      if (length > maxFrameBytes) throw new RangeError(`frame of ${length} bytes exceeds ${maxFrameBytes}`);
      if (type > frameType.error) throw new RangeError(`unknown frame type ${type}`);
      if (buffer.length - offset < headerBytes + length) break;
      frames.push({
        type: type as FrameType,
        payload: buffer.subarray(offset + headerBytes, offset + headerBytes + length),
      });
      offset += headerBytes + length;
    }
    this.#rest = offset === buffer.length ? new Uint8Array(0) : buffer.slice(offset);
    return frames;
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
