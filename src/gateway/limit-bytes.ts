import { Transform } from 'node:stream';

export class BodyTooLarge extends Error {}

/** Passes at most `maxBytes`, then fails with `BodyTooLarge`. */
export function limitBytes(maxBytes: number): Transform {
  let sizeBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) done(new BodyTooLarge());
      else done(null, chunk);
    },
  });
}
