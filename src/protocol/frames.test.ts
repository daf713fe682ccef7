import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encodeFrame, FrameDecoder, frameType, maxFrameBytes, type Frame } from './frames.ts';

const frame = fc.record({
  type: fc.constantFrom(...Object.values(frameType)),
  payload: fc.uint8Array({ maxLength: 300 }),
});

it('gives back what was sent, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }),
      (frames, cuts) => {
        const wire = Buffer.concat(frames.map(({ type, payload }) => encodeFrame(type, payload)));
        const decoder = new FrameDecoder();
        const seen: Frame[] = [];
        for (let at = 0, i = 0; at < wire.length; i++) {
          const size = cuts[i % cuts.length]!;
          seen.push(...decoder.push(wire.subarray(at, at + size)));
          at += size;
        }
        expect(seen.map(({ type, payload }) => ({ type, payload: [...payload] }))).toEqual(
          frames.map(({ type, payload }) => ({ type, payload: [...payload] })),
        );
      },
    ),
  );
});

it('refuses a frame that is too long or of no known type', () => {
  const long = Buffer.alloc(5);
  long.writeUInt32BE(maxFrameBytes + 1, 1);
  expect(() => new FrameDecoder().push(long)).toThrow(RangeError);
  expect(() => new FrameDecoder().push(Buffer.from([7, 0, 0, 0, 0]))).toThrow(RangeError);
});
