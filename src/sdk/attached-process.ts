import { z } from 'zod';
import { BerthError, isErrorCode } from '../protocol/errors.ts';
import { encodeFrame, FrameDecoder, frameType, type Frame } from '../protocol/frames.ts';
import { delay } from './delay.ts';

/** A live connection to a process's streams. Closing it leaves the process running. */
export interface AttachedProcess {
  /**
   * `stdout` and `stderr` frames as they come, then one `exit` frame, then the end. One reader only.
   * Throws `unavailable` when the connection is lost before the exit is known: no exit is invented.
   */
  output: AsyncIterable<Frame>;
  /** Sends input; resolves when the connection has taken most of it, so that a caller can pace itself. */
  write(data: Uint8Array | string): Promise<void>;
  /** End of input. */
  end(): void;
  /** The new size of the PTY. */
  resize(size: { cols: number; rows: number }): void;
  close(): void;
}

/** How a process ended, as in its last frame. */
export interface ProcessExit {
  exitCode: number | null;
  signal: string | null;
}

const exitPayload = z.object({ exitCode: z.number().nullable(), signal: z.string().nullable() });
const errorPayload = z.object({ code: z.string(), message: z.string() });

/** Small enough that other frames are not held up behind one of these. */
const writeChunkBytes = 64 * 1024;
/** Input that may be on its way before `write` waits. */
const highWaterBytes = 1024 * 1024;

/** Reads an `exit` frame's payload. */
export function parseExit(frame: Frame): ProcessExit {
  return exitPayload.parse(JSON.parse(new TextDecoder().decode(frame.payload)));
}

/**
 * Speaks the frame protocol over an open WebSocket. Frames may be cut over messages or share one.
 */
export function attachToSocket(socket: WebSocket, signal?: AbortSignal): AttachedProcess {
  const decoder = new FrameDecoder();
  const queue: Frame[] = [];
  let ended = false;
  let failure: BerthError | null = null;
  let wake = (): void => undefined;

  const finish = (error: BerthError | null): void => {
    if (ended) return;
    ended = true;
    failure = error;
    signal?.removeEventListener('abort', onAbort);
    if (socket.readyState <= WebSocket.OPEN) socket.close(1000);
    wake();
  };
  const onAbort = (): void => finish(new BerthError('cancelled', 'the operation was cancelled'));
  const lost = (event: Event): void => {
    const { code, reason } = event as Partial<CloseEvent>;
    const why = reason ? `: ${reason}` : '';
    finish(
      new BerthError('unavailable', `the connection to the process was lost${why}`, {
        context: code === undefined ? {} : { closeCode: code },
      }),
    );
  };

  socket.binaryType = 'arraybuffer';
  socket.addEventListener('message', (message) => {
    if (ended || !(message.data instanceof ArrayBuffer)) return;
    let frames: Frame[];
    try {
      frames = decoder.push(new Uint8Array(message.data));
    } catch (error) {
      return finish(new BerthError('upstream_failed', 'the process stream is broken', { cause: error }));
    }
    for (const frame of frames) {
      if (frame.type === frameType.error) return finish(frameError(frame));
      queue.push(frame);
      wake();
      if (frame.type === frameType.exit) return finish(null);
    }
  });
  // `error` says nothing, and `close` always follows it.
  socket.addEventListener('close', lost);
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });

  async function* output(): AsyncGenerator<Frame> {
    for (;;) {
      const frame = queue.shift();
      if (frame !== undefined) yield frame;
      else if (failure !== null) throw failure;
      else if (ended) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }

  const send = (frame: Uint8Array): void => {
    // After the end there is nobody to read: a process may exit while its input is still being sent.
    if (!ended && socket.readyState === WebSocket.OPEN) socket.send(frame as Uint8Array<ArrayBuffer>);
  };

  return {
    output: output(),
    async write(data) {
      const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
      for (let at = 0; at < bytes.length && !ended; at += writeChunkBytes) {
        send(encodeFrame(frameType.stdin, bytes.subarray(at, at + writeChunkBytes)));
        // WebSocket has no event for "drained", only this counter.
        while (!ended && socket.bufferedAmount > highWaterBytes) await delay(5);
      }
    },
    end: () => send(encodeFrame(frameType.stdinEnd)),
    resize: (size) => send(encodeFrame(frameType.resize, JSON.stringify(size))),
    close: () => finish(null),
  };
}

function frameError(frame: Frame): BerthError {
  try {
    const { code, message } = errorPayload.parse(JSON.parse(new TextDecoder().decode(frame.payload)));
    return new BerthError(isErrorCode(code) ? code : 'upstream_failed', message);
  } catch (error) {
    return new BerthError('upstream_failed', 'the process stream failed', { cause: error });
  }
}
