import { describe, expect, test } from 'vitest';
import { encodeAnswer, encodeFrames, encodeGreeting, LinkDecoder, LinkStream, nonceBytes } from './serial-link.ts';

const nonce = (byte: number) => Buffer.alloc(nonceBytes, byte);
const texts = (decoder: LinkDecoder, ...chunks: Buffer[]) =>
  chunks.flatMap((chunk) =>
    decoder.push(chunk).map((event) => {
      if (event.type === 'lost') return 'lost';
      return event.type === 'opened' ? `opened ${event.nonce[0]}` : event.payload.toString('latin1');
    }),
  );

describe('a serial line', () => {
  test('carries bytes in frames, however they are cut', () => {
    const long = Buffer.alloc(100_000, 'x');
    const bytes = Buffer.concat([encodeGreeting(nonce(1)), encodeFrames(Buffer.from('one')), encodeFrames(long)]);
    for (const size of [129, 4097, 16_387, bytes.length]) {
      const decoder = LinkDecoder.ofRunner();
      const seen: string[] = [];
      for (let at = 0; at < bytes.length; at += size) seen.push(...texts(decoder, bytes.subarray(at, at + size)));
      expect(seen[0], String(size)).toBe('opened 1');
      expect(seen.slice(1).join('')).toBe(`one${'x'.repeat(100_000)}`);
    }
  });

  test('a new connection is recognized wherever the last one stopped', () => {
    const frame = encodeFrames(Buffer.alloc(16_384, 'y'));
    for (const cut of [1, 2, 3, 4, 5, 1000, frame.length - 1, frame.length]) {
      const decoder = LinkDecoder.ofRunner();
      texts(decoder, encodeGreeting(nonce(1)), frame.subarray(0, cut));
      const seen = texts(decoder, encodeGreeting(nonce(2)), encodeFrames(Buffer.from('after')));
      expect(seen.slice(-2), `cut at ${cut}`).toEqual(['opened 2', 'after']);
    }
  });

  test('the server takes only the answer to its own greeting', () => {
    const decoder = LinkDecoder.ofServer(nonce(2));
    const stale = Buffer.concat([encodeFrames(Buffer.from('stale')), encodeAnswer(nonce(1)), encodeFrames(Buffer.from('stale'))]);
    expect(texts(decoder, stale, encodeAnswer(nonce(2)), encodeFrames(Buffer.from('fresh')))).toEqual(['opened 2', 'fresh']);
  });

  test('what is no frame ends the connection, and is passed over until a greeting comes', () => {
    const decoder = LinkDecoder.ofRunner();
    texts(decoder, encodeGreeting(nonce(1)));
    expect(texts(decoder, Buffer.from([0xb7, 0x3e, 0, 0]), encodeFrames(Buffer.from('late')))).toEqual(['lost']);
    expect(texts(decoder, encodeGreeting(nonce(3)))).toEqual(['opened 3']);
  });

  test('a stream hands over what is written and tells its end once', () => {
    const sent: Buffer[] = [];
    let closed = 0;
    const stream = new LinkStream(
      (data) => sent.push(data),
      () => (closed += 1),
    );
    stream.write('abc');
    stream.destroy();
    stream.destroy();
    expect(Buffer.concat(sent)).toEqual(encodeFrames(Buffer.from('abc')));
    expect(closed).toBe(1);
  });
});
