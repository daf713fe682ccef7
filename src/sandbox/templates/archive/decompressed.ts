import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { BerthError } from '../../../protocol/errors.ts';

const magics: readonly { name: string; bytes: readonly number[] }[] = [
  { name: 'gzip', bytes: [0x1f, 0x8b] },
  { name: 'zstd', bytes: [0x28, 0xb5, 0x2f, 0xfd] },
  { name: 'xz', bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { name: 'bzip2', bytes: [0x42, 0x5a, 0x68] },
];

/** A file's bytes, uncompressed: by what it begins with, not by its name. Throws `invalid_request` for a compression that is not known. */
export async function* decompressed(path: string): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
  let head: Buffer;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0);
    head = buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
  const kind = magics.find(({ bytes }) => bytes.every((byte, index) => head[index] === byte))?.name;
  if (kind === 'xz' || kind === 'bzip2') {
    throw new BerthError('invalid_request', `archives compressed by ${kind} are not taken: uncompressed, gzip or zstd`, { field: 'from' });
  }
  const source = createReadStream(path, { highWaterMark: 256 * 1024 });
  if (kind === undefined) return yield* source as AsyncIterable<Buffer>;
  const decoder = kind === 'gzip' ? createGunzip() : createZstdDecompress();
  source.on('error', (error) => decoder.destroy(error));
  try {
    yield* source.pipe(decoder) as Readable as AsyncIterable<Buffer>;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall !== undefined) throw cause;
    throw new BerthError('invalid_request', `the archive cannot be uncompressed: ${(cause as Error).message}`, { field: 'from', cause });
  } finally {
    source.destroy();
    decoder.destroy();
  }
}
