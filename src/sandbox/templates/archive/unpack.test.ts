import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { pack, type Headers } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { diskWork } from '../disk-work.ts';
import { decompressed } from './decompressed.ts';
import { unpack } from './unpack.ts';

interface Item extends Headers {
  content?: string;
}

const limits = { maxBytes: 1024 ** 2, maxEntries: 1000 };
let outer: string;
let root: string;

beforeEach(() => {
  outer = mkdtempSync(join(tmpdir(), 'berth-unpack-'));
  root = mkdtempSync(join(outer, 'root-'));
  writeFileSync(join(outer, 'secret'), 'of the host');
});
afterEach(() => rmSync(outer, { recursive: true }));

async function tar(items: readonly Item[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of items) archive.entry(header, content ?? '');
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function* inPieces(bytes: Buffer, size = 700): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const unpackItems = async (items: readonly Item[], more = limits) => unpack(inPieces(await tar(items)), root, more);

/** Links are named and not followed, which `recursive` of `readdir` would do. */
function filesBelow(directory: string, under = ''): string[] {
  return readdirSync(join(directory, under), { withFileTypes: true })
    .flatMap((entry) => {
      const name = join(under, entry.name);
      return entry.isDirectory() ? [name, ...filesBelow(directory, name)] : [name];
    })
    .toSorted();
}

describe('an archive', () => {
  test('becomes a tree with its owners, modes and times, named by its hash', async () => {
    const mtime = new Date('2020-02-02T02:02:02Z');
    const items: Item[] = [
      { name: './', type: 'directory', mode: 0o755 },
      { name: './usr/', type: 'directory', mode: 0o750, uid: 3, gid: 4, mtime },
      { name: './usr/tool', mode: 0o755, uid: 1000, gid: 1000, mtime, content: 'x'.repeat(3000) },
      { name: './usr/same', type: 'link', linkname: './usr/tool' },
      { name: './bin', type: 'symlink', linkname: 'usr' },
      { name: `./${'long/'.repeat(60)}name`, content: 'deep' },
    ];
    const bytes = await tar(items);
    const layer = await unpack(inPieces(bytes), root, limits);
    expect(layer.digest).toBe(createHash('sha256').update(bytes).digest('hex'));
    const tool = lstatSync(join(root, 'usr/tool'));
    expect([tool.size, tool.mode & 0o7777, tool.mtime, tool.nlink]).toEqual([3000, 0o755, mtime, 2]);
    if (process.getuid?.() === 0) expect([tool.uid, lstatSync(join(root, 'usr')).gid]).toEqual([1000, 4]);
    expect(lstatSync(join(root, 'usr')).mode & 0o7777).toBe(0o750);
    expect(lstatSync(join(root, 'usr')).mtime).toEqual(mtime);
    expect(readlinkSync(join(root, 'bin'))).toBe('usr');
    expect(readFileSync(join(root, `${'long/'.repeat(60)}name`), 'utf8')).toBe('deep');
    expect(layer).toMatchObject({ entries: 6, sizeBytes: 3004, skipped: 0 });
    expect(layer.implied).toContain('long/long');
  });

  test('loses what a sandbox must not have: devices, FIFOs, programs that run as their owner', async () => {
    const layer = await unpackItems([
      { name: 'dev/sda', type: 'block-device', devmajor: 8, devminor: 0 },
      { name: 'dev/mem', type: 'character-device', devmajor: 1, devminor: 1 },
      { name: 'run/fifo', type: 'fifo' },
      { name: 'bin/su', mode: 0o6755, content: 'su' },
      { name: 'tmp', type: 'directory', mode: 0o1777 },
    ]);
    expect(layer).toMatchObject({ skipped: 3, unset: 1 });
    expect(filesBelow(root)).toEqual(['bin', 'bin/su', 'tmp']);
    expect(lstatSync(join(root, 'bin/su')).mode & 0o7777).toBe(0o755);
    expect(lstatSync(join(root, 'tmp')).mode & 0o7777).toBe(0o1777);
  });

  test('says what it removes of the layers below', async () => {
    const layer = await unpackItems([
      { name: 'etc/.wh.passwd' },
      { name: '.wh.srv' },
      { name: 'opt/.wh..wh..opq' },
      { name: 'opt/new', content: 'n' },
      { name: '.wh..wh.plnk', type: 'directory' },
    ]);
    expect(layer.removed).toEqual(['etc/passwd', 'srv']);
    expect(layer.emptied).toEqual(['opt']);
    expect(filesBelow(root)).toEqual(['opt', 'opt/new']);
  });

  test('has the later of two entries of a path, whatever the earlier was', async () => {
    await unpackItems([
      { name: 'a', type: 'symlink', linkname: '../secret' },
      { name: 'a', content: 'a file now' },
      { name: 'b/c', content: 'c' },
      { name: 'b', content: 'b' },
    ]);
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('a file now');
    expect(readFileSync(join(root, 'b'), 'utf8')).toBe('b');
    expect(readFileSync(join(outer, 'secret'), 'utf8')).toBe('of the host');
  });
});

describe('a hostile archive is refused', () => {
  const cases: Record<string, Item[]> = {
    'that leads upwards': [{ name: '../out', content: 'x' }],
    'that leads upwards in its middle': [{ name: 'a/../../out', content: 'x' }],
    'with an absolute path': [{ name: '/etc/cron.d/x', content: 'x' }],
    'that writes through a link': [
      { name: 'a', type: 'symlink', linkname: '..' },
      { name: 'a/out', content: 'x' },
    ],
    'that makes a directory through a link': [
      { name: 'a', type: 'symlink', linkname: '/tmp' },
      { name: 'a/b', type: 'directory' },
    ],
    'that writes through a file': [
      { name: 'a', content: 'x' },
      { name: 'a/b', content: 'x' },
    ],
    'that links to a file outside': [{ name: 'a', type: 'link', linkname: '../secret' }],
    'that links to an absolute path': [{ name: 'a', type: 'link', linkname: '/etc/shadow' }],
    'that links through a link': [
      { name: 'a', type: 'symlink', linkname: '..' },
      { name: 'b', type: 'link', linkname: 'a/secret' },
    ],
    'that removes outside': [{ name: 'a/.wh...', content: '' }],
    'with a name that is too long': [{ name: 'x'.repeat(300), content: '' }],
  };
  test.each(Object.entries(cases))('%s', async (_name, items) => {
    await expect(unpackItems(items)).rejects.toMatchObject({ code: 'invalid_request', field: 'from' });
    expect(readdirSync(outer).length).toBe(2);
    expect(lstatSync(join(outer, 'secret')).nlink).toBe(1);
  });

  test('that is too large, by files or by their number', async () => {
    await expect(unpackItems([{ name: 'a', content: 'x'.repeat(2000) }], { ...limits, maxBytes: 1000 })).rejects.toMatchObject({ code: 'resource_exhausted' });
    const many = Array.from({ length: 20 }, (_, index) => ({ name: `f${index}`, content: '' }));
    await expect(unpackItems(many, { ...limits, maxEntries: 10 })).rejects.toMatchObject({ code: 'resource_exhausted' });
  });

  test('whose header alone would fill the memory', async () => {
    const whole = await tar([{ name: 'x'.repeat(90), content: 'x'.repeat(512) }]);
    const header = Buffer.from(whole.subarray(0, 512));
    header.write('77777777777\0', 124);
    // A header that has the next one's long name.
    header.write('x', 156);
    header.fill(' ', 148, 156);
    header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148);
    let sent = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      yield header;
      for (;;) {
        sent += 65_536;
        yield Buffer.alloc(65_536, 0x31);
      }
    }
    await expect(unpack(endless(), root, { maxBytes: 2 ** 40, maxEntries: 10 })).rejects.toMatchObject({ code: 'invalid_request' });
    expect(sent).toBeLessThan(3 * 1024 ** 2);
  });

  test('that is cut off or no archive', async () => {
    const whole = await tar([{ name: 'a', content: 'x'.repeat(5000) }]);
    await expect(unpack(inPieces(whole.subarray(0, 2000)), root, limits)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(unpack(inPieces(Buffer.alloc(4096, 7)), root, limits)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  test('whatever it says, nothing outside is made, changed or linked', async () => {
    const part = fc.constantFrom('a', 'b', '..', '.', '', 'secret', '.wh.a', '.wh...', '.wh..wh..opq', 'c\0d', 'x'.repeat(256));
    const path = fc.array(part, { minLength: 0, maxLength: 4 }).map((parts) => parts.join('/'));
    const anyPath = fc.oneof(path, path.map((each) => `/${each}`), path.map((each) => `../${each}`));
    const item = fc.record({
      name: anyPath,
      linkname: anyPath,
      type: fc.constantFrom('file', 'directory', 'symlink', 'link', 'fifo', 'character-device' as const),
      mode: fc.integer({ min: 0, max: 0o7777 }),
      content: fc.string({ maxLength: 20 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(item, { maxLength: 8 }), async (items) => {
        const target = mkdtempSync(join(outer, 'root-'));
        const before = filesBelow(outer).filter((name) => !name.startsWith('root-'));
        const archive = await tar(
          items.map(({ content, ...header }) => (header.type === 'file' ? { ...header, content } : header)) as Item[],
        ).catch(() => null);
        // What the packer itself refuses is no archive.
        if (archive !== null) await unpack(inPieces(archive), target, limits).catch((error: unknown) => expect(error).toMatchObject({ field: 'from' }));
        expect(filesBelow(outer).filter((name) => !name.startsWith('root-'))).toEqual(before);
        expect(lstatSync(join(outer, 'secret'))).toMatchObject({ size: 11, nlink: 1 });
        for (const name of filesBelow(target)) {
          const stat = lstatSync(join(target, name));
          expect(stat.isFile() || stat.isDirectory() || stat.isSymbolicLink()).toBe(true);
          if (!stat.isSymbolicLink()) expect(stat.mode & 0o6000).toBe(0);
        }
        rmSync(target, { recursive: true });
      }),
      { numRuns: 150 },
    );
  });
});

describe('compression', () => {
  test.each([
    ['none', (bytes: Buffer) => bytes],
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const)('%s is told by the content, and the work done in a thread', async (_name, compress) => {
    const archive = join(outer, 'archive');
    const bytes = await tar([{ name: 'a', content: 'hello' }]);
    writeFileSync(archive, compress(bytes));
    const layer = await diskWork.unpack(archive, root, limits, new AbortController().signal);
    expect(layer.digest).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('hello');
  });

  test('a small archive of endless zeros ends at the limit', async () => {
    const archive = join(outer, 'bomb.gz');
    writeFileSync(archive, gzipSync(await tar([{ name: 'a', content: '\0'.repeat(8 * 1024 ** 2) }])));
    await expect(unpack(decompressed(archive), root, limits)).rejects.toMatchObject({ code: 'resource_exhausted' });
  });

  test('others, and broken ones, are refused by name', async () => {
    const archive = join(outer, 'archive');
    writeFileSync(archive, Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0, 0]));
    await expect(unpack(decompressed(archive), root, limits)).rejects.toMatchObject({ code: 'invalid_request', message: expect.stringContaining('xz') });
    writeFileSync(archive, gzipSync(await tar([{ name: 'a', content: 'hello' }])).subarray(0, 40));
    await expect(unpack(decompressed(archive), root, limits)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  test('an abort ends the thread', async () => {
    const archive = join(outer, 'archive');
    writeFileSync(archive, await tar([{ name: 'a', content: 'hello' }]));
    const controller = new AbortController();
    const running = diskWork.unpack(archive, root, limits, controller.signal);
    controller.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
  });
});
