import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { extract, pack, type Headers } from 'tar-stream';
import { expect, test } from 'vitest';
import { toOwnIds } from './own-ids.ts';

async function archive(...headers: Headers[]): Promise<Buffer> {
  const packed = pack();
  for (const header of headers) packed.entry(header, header.type === 'file' ? header.name : undefined);
  packed.finalize();
  return buffer(packed);
}

async function contents(stream: NodeJS.ReadableStream) {
  const found: unknown[] = [];
  const entries = stream.pipe(extract());
  for await (const entry of entries) {
    const { name, uid, gid, mode, type, linkname } = entry.header;
    found.push([name, type, uid, gid, mode, linkname, (await buffer(entry)).toString()]);
  }
  return found;
}

const long = 'n'.repeat(200);

test('ids of this machine become those of the sandbox, and its own stay', async () => {
  const packed = await archive(
    { name: 'file', type: 'file', uid: 166_536, gid: 166_536, mode: 0o640 },
    { name: 'of-root', type: 'directory', uid: 165_536, gid: 165_536, mode: 0o755 },
    { name: long, type: 'symlink', linkname: 'file', uid: 1000, gid: 0, mode: 0o777 },
  );
  const owner = { uid: 166_536, gid: 166_536 };
  expect(await contents(toOwnIds(Readable.from([packed]), owner))).toEqual([
    ['file', 'file', 1000, 1000, 0o640, null, 'file'],
    ['of-root', 'directory', 0, 0, 0o755, null, ''],
    [long, 'symlink', 1000, 0, 0o777, 'file', ''],
  ]);
});

test('an id too long for its field', async () => {
  const pax = { uid: '100001000', gid: '100001000', mtime: '1700000000.5' };
  const packed = await archive({ name: 'file', type: 'file', pax } as Headers);
  const [found] = await contents(toOwnIds(Readable.from([packed]), { uid: 100_001_000, gid: 100_001_000 }));
  expect((found as unknown[]).slice(0, 4)).toEqual(['file', 'file', 1000, 1000]);
});

test('an archive that breaks off fails, and does not end', async () => {
  const packed = await archive({ name: 'file', type: 'file', uid: 1, gid: 1 });
  const broken = Readable.from(
    (async function* () {
      yield packed.subarray(0, 515);
      throw new Error('broken off');
    })(),
  );
  await expect(buffer(toOwnIds(broken, { uid: 5000, gid: 5000 }))).rejects.toThrow('broken off');
});
