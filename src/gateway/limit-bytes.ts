import { Transform } from 'node:stream';

export class BodyTooLarge extends Error {}

/** Passes at most `maxBytes`, then fails with `BodyTooLarge`. `look` sees each piece before it is passed. */
export function limitBytes(maxBytes: number, look: (chunk: Buffer) => void = () => {}): Transform {
  let sizeBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      look(chunk);
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) done(new BodyTooLarge());
      else done(null, chunk);
    },
  });
}
