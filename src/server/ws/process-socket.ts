import type { Duplex } from 'node:stream';
import type { WSEvents } from 'hono/ws';
import { z } from 'zod';
import { asBerthError, BerthError, toErrorBody } from '../../protocol/errors.ts';
import { encodeFrame, FrameDecoder, frameType, maxFrameBytes, type Frame } from '../../protocol/frames.ts';
import { runnerFailure } from '../../protocol/runner-failure.ts';
import { parseShallowJson } from '../../protocol/shallow-json.ts';
import type { AppDependencies } from '../context.ts';
import { drained } from './session-socket.ts';
import { flowOf, toBytes } from './socket-data.ts';

const fromClient: readonly number[] = [frameType.stdin, frameType.stdinEnd, frameType.resize];
const fromRunner: readonly number[] = [frameType.stdout, frameType.stderr, frameType.exit];
const exitPayload = z.object({ exitCode: z.number().nullable(), signal: z.string().nullable() });

/** A process over one WebSocket: every message is one frame. Closing it leaves the process running. */
export function openProcessSocket(deps: AppDependencies, sessionId: string, pid: string, from: number): WSEvents {
  const { sessions } = deps.core;
  const stop = new AbortController();
  const release = sessions.hold(sessionId);
  let stream: Duplex | null = null;
  /** What was on its way before the socket could be paused. */
  const pending: Uint8Array[] = [];
  const end = () => {
    stop.abort();
    stream?.destroy();
    release();
  };

  return {
    async onOpen(_event, ws) {
      const input = flowOf(ws);
      try {
        input.pause();
        stream = await sessions.withRunner(sessionId, stop.signal, (runner) => runner.attachProcess(pid, from, stop.signal));
        for (const frame of pending.splice(0)) stream.write(frame);
        stream.on('drain', input.resume);
        input.resume();
        const decoder = new FrameDecoder();
        for await (const chunk of stream) {
          for (const frame of runnerFrames(decoder, chunk as Uint8Array)) {
            ws.send(encodeFrame(frame.type, frame.payload) as Uint8Array<ArrayBuffer>);
          }
          await drained(ws, stop.signal);
        }
        ws.close(1000);
      } catch (cause) {
        if (stop.signal.aborted) return;
        const { error } = toErrorBody(asBerthError(cause));
        ws.send(encodeFrame(frameType.error, JSON.stringify({ code: error.code, message: error.message })) as Uint8Array<ArrayBuffer>);
        ws.close(1011, error.code);
      } finally {
        // The client may take its time to close, and is heard only where its input is read.
        end();
        input.resume();
      }
    },
    onMessage(message, ws) {
      if (stop.signal.aborted) return;
      const bytes = toBytes(message.data);
      if (bytes === null || !isOneFrame(bytes)) {
        ws.close(1008, 'a message is one frame of stdin, end or resize');
        return;
      }
      if (stream === null) pending.push(bytes);
      // A process that does not read its input holds up its writer, not our memory.
      else if (!stream.write(bytes)) flowOf(ws).pause();
    },
    onClose: end,
    onError: end,
  };
}

/** Throws `upstream_failed`: what is in the runner's place may be anything. Throws the runner's own error where it tells of one. */
function runnerFrames(decoder: FrameDecoder, chunk: Uint8Array): Frame[] {
  let frames: Frame[];
  try {
    frames = decoder.push(chunk);
    for (const { type, payload } of frames) if (type === frameType.exit) exitPayload.parse(parseShallowJson(textOf(payload)));
  } catch (cause) {
    throw new BerthError('upstream_failed', "the runner sent an ill-formed stream of a process's output", { cause });
  }
  for (const { type, payload } of frames) {
    if (type === frameType.error) throw runnerFailure(errorBody(textOf(payload)), 502);
    if (!fromRunner.includes(type)) throw new BerthError('upstream_failed', 'the runner sent input as output');
  }
  return frames;
}

const textOf = (payload: Uint8Array) => new TextDecoder().decode(payload);

function errorBody(text: string): unknown {
  try {
    return { error: parseShallowJson(text) };
  } catch {
    return null;
  }
}

function isOneFrame(bytes: Uint8Array): boolean {
  if (bytes.length > maxFrameBytes) return false;
  try {
    const frames = new FrameDecoder().push(bytes);
    const [frame] = frames;
    return frames.length === 1 && frame !== undefined && fromClient.includes(frame.type) && frame.payload.length + 5 === bytes.length;
  } catch {
    return false;
  }
}
