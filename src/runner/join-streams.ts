import type { Duplex } from 'node:stream';
import { countStreamed } from './streamed-memory.ts';

/**
 * Pipes two byte streams into each other. An end travels alone, so the other direction stays open (both must
 * allow half-open); a failure or a close before the end breaks both.
 */
export function joinStreams(a: Duplex, b: Duplex): void {
  a.pipe(b);
  b.pipe(a);
  const breakBoth = () => {
    a.destroy();
    b.destroy();
  };
  for (const stream of [a, b]) {
    stream.on('data', (chunk: Buffer) => countStreamed(chunk.length));
    stream.on('error', breakBoth);
    stream.on('close', () => {
      if (!stream.readableEnded || !stream.writableFinished) breakBoth();
    });
  }
}
