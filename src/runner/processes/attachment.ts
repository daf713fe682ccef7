import type { Duplex } from 'node:stream';
import { encodeFrame, FrameDecoder, frameType, type Frame, type FrameType } from '../../protocol/frames.ts';
import { isSize } from '../validate.ts';
import type { SandboxProcess } from './process.ts';

/**
 * How long an attached client may stop reading while it holds the process back. After that it is cut off, so
 * that a vanished client cannot freeze a dev server; it may attach again from the byte it has.
 */
const maxStallMs = 30_000;

/**
 * Joins a byte stream to a process: kept output from byte `from`, live output, exit; stdin, its end and
 * resizes the other way. Nothing is dropped while attached; the process waits for a slow client.
 * The client's end of stream detaches it. The process goes on in any case.
 */
export function attach(process: SandboxProcess, socket: Duplex, from: number): void {
  const decoder = new FrameDecoder();
  let stall: NodeJS.Timeout | undefined;

  const send = (type: FrameType, payload: Uint8Array | string) => socket.write(encodeFrame(type, payload));
  const onOutput = (type: FrameType, chunk: Buffer) => {
    if (!send(type, chunk)) hold();
  };
  const hold = () => {
    process.hold(socket);
    stall ??= setTimeout(() => socket.destroy(), maxStallMs);
  };
  const onDrain = () => {
    clearTimeout(stall);
    stall = undefined;
    process.release(socket);
  };
  const onEnd = () => {
    send(
      frameType.exit,
      JSON.stringify({ exitCode: process.exit?.exitCode ?? null, signal: process.exit?.signal ?? null }),
    );
    detach();
    socket.end();
  };
  const detach = () => {
    process.off('output', onOutput).off('end', onEnd);
    onDrain();
  };
  const take = ({ type, payload }: Frame) => {
    if (type === frameType.stdin) {
      if (process.write(payload)) return;
      socket.pause();
      process.onceWritable(() => socket.resume());
    } else if (type === frameType.stdinEnd) {
      process.endInput();
    } else if (type === frameType.resize) {
      const size = parseJson(payload);
      if (!isSize(size)) throw new RangeError('a resize frame needs cols and rows from 1 to 1000');
      if (process.info.pty) process.resize(size);
    } else {
      throw new RangeError(`frame type ${type} is not for the runner`);
    }
  };

  socket.on('drain', onDrain);
  socket.once('close', detach);
  socket.once('end', () => {
    detach();
    socket.end();
  });
  socket.on('data', (chunk: Buffer) => {
    try {
      for (const frame of decoder.push(chunk)) take(frame);
    } catch (error) {
      send(frameType.error, JSON.stringify({ code: 'invalid_request', message: (error as Error).message }));
      detach();
      socket.removeAllListeners('data').resume();
      socket.end();
    }
  });

  for (const { type, bytes } of process.tail.from(from)) onOutput(type, bytes);
  if (process.ended) onEnd();
  else process.on('output', onOutput).once('end', onEnd);
}

function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload).toString('utf8'));
  } catch {
    return undefined;
  }
}
