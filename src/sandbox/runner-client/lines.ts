import { BerthError } from '../../protocol/errors.ts';
import { badAnswer } from './failure.ts';

export interface LineLimits {
  maxLineBytes: number;
  /** Without a byte for so long the other side counts as lost; its heartbeats are blank lines. */
  silenceMs: number;
}

/**
 * The lines of a stream, without blank ones. Time counts only while this waits for bytes, not while its reader is
 * busy. Throws `sandbox_lost` on silence and at the stream's end if it must not end, `upstream_failed` on
 * an over-long line.
 */
export async function* readLines(stream: AsyncIterable<Uint8Array>, limits: LineLimits): AsyncGenerator<string> {
  const chunks = stream[Symbol.asyncIterator]();
  let rest: Buffer[] = [];
  let restBytes = 0;
  try {
    for (;;) {
      const { done, value } = await within(chunks.next(), limits.silenceMs);
      if (done === true) return;
      let chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10)) {
        const line = Buffer.concat([...rest, chunk.subarray(0, end)]);
        rest = [];
        restBytes = 0;
        chunk = chunk.subarray(end + 1);
        if (line.length > limits.maxLineBytes) throw tooLong(limits);
        if (line.length > 0) yield line.toString('utf8');
      }
      if (chunk.length > 0) rest.push(chunk);
      restBytes += chunk.length;
      if (restBytes > limits.maxLineBytes) throw tooLong(limits);
    }
  } finally {
    // Not awaited: a silent stream does not answer.
    void chunks.return?.()?.catch(() => undefined);
  }
}

function tooLong({ maxLineBytes }: LineLimits): BerthError {
  return badAnswer(`a line of more than ${maxLineBytes} bytes`);
}

async function within<T>(promise: Promise<T>, silenceMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () =>
        reject(new BerthError('sandbox_lost', `the runner was silent for ${silenceMs} ms`, { context: { silenceMs } })),
      silenceMs,
    );
  });
  try {
    return await Promise.race([promise, silence]);
  } finally {
    clearTimeout(timer);
  }
}
