import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, mkdir, open, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAgentsImage } from './agents-image.ts';
import { createControlLines } from './control-line.ts';
import { writeCpio } from './cpio.ts';
import { whileFrozen } from './driver/frozen.ts';
import { sandboxPaths } from './driver/paths.ts';
import { openImages } from './images.ts';
import { connectLine } from './line.ts';
import { unpackLz4 } from './lz4.ts';
import { reseedProgram } from './reseed-program.ts';
import { unpackKernel } from './unpack-kernel.ts';
import { listenProgram, vsockAddress } from './vsock-program.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-microvm-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const signal = () => AbortSignal.timeout(10_000);

test('an archive has its entries, aligned, and the same bytes each time', () => {
  const entries = [
    { name: 'bin', kind: 'directory' as const },
    { name: 'bin/tool', kind: 'file' as const, content: Buffer.from('hello'), mode: 0o755 },
    { name: 'bin/other', kind: 'link' as const, target: 'tool' },
  ];
  const archive = writeCpio(entries);
  expect(archive).toEqual(writeCpio(entries));
  expect(archive.length % 4).toBe(0);
  const [header, name] = [archive.subarray(0, 110).toString(), archive.subarray(110, 114).toString()];
  expect(header.startsWith('070701')).toBe(true);
  expect(name).toBe('bin\0');
  // The mode is the second field of eight digits.
  expect(header.slice(14, 22)).toBe('000041ed');
  expect(archive.includes(Buffer.from('bin/tool\0'))).toBe(true);
  expect(archive.includes(Buffer.from('hello'))).toBe(true);
  expect(archive.includes(Buffer.from('TRAILER!!!\0'))).toBe(true);
});

test('the program that reseeds the random generator does so', async () => {
  const path = join(directory, 'reseed');
  await writeFile(path, reseedProgram());
  await chmod(path, 0o755);
  if (process.arch !== 'x64' || process.getuid?.() !== 0) return expect(existsSync(path)).toBe(true);
  // Throws unless it exits with 0: the kernel has taken the call.
  expect(execFileSync(path).length).toBe(0);
});

test('the agents of a directory are taken in once each, where their table says', async () => {
  const [path, agents] = [join(directory, 'agents.img'), join(directory, 'agents')];
  for (const name of ['first-1.0', '.second-1.0.installing-x']) await mkdir(join(agents, name), { recursive: true });
  await writeFile(join(agents, 'first-1.0/program'), 'of the first');
  const image = await openAgentsImage(path, agents);
  expect(await image.refresh()).toBe(1);
  expect(await image.refresh()).toBe(1);
  await mkdir(join(agents, 'second-1.0'));
  expect(await Promise.all([image.refresh(), image.refresh()])).toEqual([2, 2]);
  await image.close();
  const again = await openAgentsImage(path, agents);
  expect(await again.refresh()).toBe(2);
  const file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(4096), 0, 4096, 4096);
  await file.close();
  const table = buffer.toString();
  const [first, second] = table.split('\0')[0]!.trim().split('\n').map((line) => line.split(' '));
  expect([first![0], second![0]]).toEqual(['first-1.0', 'second-1.0']);
  expect(Number(second![1])).toBeGreaterThanOrEqual(Number(first![1]) + Number(first![2]));
  const content = execFileSync('debugfs', ['-R', 'cat /program', `${path}?offset=${first![1]}`], { stdio: ['ignore', 'pipe', 'ignore'] });
  expect(content.toString()).toBe('of the first');
}, 30_000);

describe('a control line', () => {
  async function serve(answer: (line: string, socket: Socket) => void) {
    const path = join(directory, `control-${Math.random()}`);
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        for (const line of chunk.toString().split('\n').filter(Boolean)) answer(line, socket);
      });
    });
    server.listen(path);
    await once(server, 'listening');
    const lines = createControlLines();
    return {
      lines,
      path,
      tell: (...command: [string, ...string[]]) => lines.tell(path, command, signal()),
      async end() {
        lines.close();
        server.close();
      },
    };
  }

  test('resolves to the answer to its own call, whatever else is on the line', async () => {
    const { tell, end } = await serve((line, socket) => {
      const [id, verb] = line.split(' ');
      socket.write(`stale ok 7\nha`);
      socket.write(`lf\n${id} ${verb === 'bad' ? 'failed' : `ok ${verb} done`}\n`);
    });
    expect(await Promise.all([tell('sync'), tell('stats')])).toEqual(['sync done', 'stats done']);
    await expect(tell('bad')).rejects.toMatchObject({ code: 'upstream_failed' });
    await end();
  });

  test('is lost with the machine, and refuses what the init would take for more than a word', async () => {
    const { tell, end } = await serve((_line, socket) => socket.destroy());
    await expect(tell('sync')).rejects.toMatchObject({ code: 'sandbox_lost' });
    await expect(tell('woken', '1; reboot')).rejects.toThrow('not for the init');
    await end();
  });

  test('a guest is thawed, also after a freeze that was given up before it answered', async () => {
    const stop = new AbortController();
    const told: string[] = [];
    const { lines, path, end } = await serve((line, socket) => {
      const [id, verb] = line.split(' ');
      told.push(verb!);
      if (verb === 'freeze') stop.abort();
      else socket.write(`${id} ok\n`);
    });
    const parts = { id: 'any', paths: sandboxPaths(directory, 'any'), lines: { control: path, link: path } };
    await expect(whileFrozen(lines, parts, 'running', stop.signal, () => Promise.resolve('copied'))).rejects.toThrow('abort');
    expect(told).toEqual(['freeze', 'thaw']);
    await end();
  });
});

test('images that nobody names or has asked for in weeks go; empty disks stay', async () => {
  const path = join(directory, 'images');
  await mkdir(path);
  const names = ['root-old-1.img', 'root-named-1.img', 'root-new-1.img', 'runner-old.img', 'blank-1-100.img', 'agents.img'];
  for (const name of names) await writeFile(join(path, name), '');
  const longAgo = new Date(Date.now() - 30 * 24 * 60 * 60 * 1000);
  for (const name of names.filter((each) => each !== 'root-new-1.img')) await utimes(join(path, name), longAgo, longAgo);
  await openImages(path).removeOld(new Set([join(path, 'root-named-1.img')]));
  expect((await readdir(path)).toSorted()).toEqual(['agents.img', 'blank-1-100.img', 'root-named-1.img', 'root-new-1.img']);
});

describe('a kernel without its loader', () => {
  const kernel = Buffer.concat([Buffer.from('\x7fELF', 'latin1'), Buffer.alloc(70_000, 'a kernel '), Buffer.from('its end')]);

  /** With the payload where its header says. */
  function bzImage(payload: Buffer): Buffer {
    const setupSectors = 3;
    const image = Buffer.alloc((setupSectors + 1) * 512);
    image[0x1f1] = setupSectors;
    image.write('HdrS', 0x202, 'latin1');
    image.writeUInt32LE(64, 0x248);
    image.writeUInt32LE(payload.length + 4, 0x24c);
    const unpackedLength = Buffer.alloc(4);
    unpackedLength.writeUInt32LE(kernel.length);
    return Buffer.concat([image, Buffer.alloc(64), payload, unpackedLength, Buffer.from('what follows')]);
  }

  test('is taken out of what packs it: gzip, zstd, LZ4', () => {
    expect(unpackKernel(bzImage(gzipSync(kernel)))).toEqual(kernel);
    expect(unpackKernel(bzImage(zstdCompressSync(kernel)))).toEqual(kernel);
    expect(unpackKernel(bzImage(lz4OfRuns(kernel)))).toEqual(kernel);
  });

  test('is refused when it is none, or damaged', () => {
    expect(() => unpackKernel(Buffer.alloc(4096))).toThrow('it is no bzImage');
    expect(() => unpackKernel(bzImage(Buffer.from('something else')))).toThrow('in a way that is not known');
    expect(() => unpackKernel(bzImage(gzipSync('no kernel')))).toThrow('no ELF file');
    expect(() => unpackLz4(lz4OfRuns(kernel).subarray(0, -3), 1e6)).toThrow('cut off');
    expect(() => unpackLz4(lz4OfRuns(kernel), 1000)).toThrow('too long');
  });
});

/** What LZ4 makes of a beginning, a run of nine bytes again and again, and an end. */
function lz4OfRuns(kernel: Buffer): Buffer {
  const [head, tail] = [kernel.subarray(0, 13), kernel.subarray(-7)];
  const match = kernel.length - head.length - tail.length;
  const more = match - 4 - 15;
  const lengths = Buffer.concat([Buffer.alloc(Math.floor(more / 255), 255), Buffer.from([more % 255])]);
  const block = Buffer.concat([Buffer.from([(head.length << 4) | 15]), head, Buffer.from([9, 0]), lengths, Buffer.from([tail.length << 4]), tail]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(block.length);
  return Buffer.concat([Buffer.from([0x02, 0x21, 0x4c, 0x18]), length, block]);
}

test.skipIf(process.arch !== 'x64')('the program that serves a line: one connection after the other, between it and two pipes', async () => {
  const [program, relay] = [join(directory, 'serve'), join(import.meta.dirname, 'relay.sh')];
  const path = join(directory, 's');
  const address = Buffer.alloc(110);
  address.writeUInt16LE(1, 0);
  address.write(path, 2);
  await writeFile(program, listenProgram(address));
  await chmod(program, 0o755);
  const pipes = ['to', 'from'].map((name) => join(directory, name)) as [string, string];
  execFileSync('mkfifo', pipes);
  const [to, from] = [await open(pipes[0], 'r+'), await open(pipes[1], 'r+')];
  const serving = spawn(program, ['/bin/sh', relay, ...pipes], { stdio: 'ignore' });
  try {
    await expect.poll(() => existsSync(path)).toBe(true);
    const hear = async (bytes: number) => (await to.read(Buffer.alloc(bytes), 0, bytes)).buffer.toString();
    for (const name of ['first', 'after']) {
      const socket = await connectLine(path, signal());
      socket.write(`hello ${name}`);
      expect(await hear(11)).toBe(`hello ${name}`);
      await from.write(`good day ${name}`);
      expect(String((await once(socket, 'data'))[0])).toBe(`good day ${name}`);
      socket.destroy();
    }
  } finally {
    serving.kill('SIGKILL');
    await Promise.all([to.close(), from.close()]);
  }
  expect(spawnSync(program).status).toBe(1);
  expect(vsockAddress(1024).toString('hex')).toBe('28000000000400' + '00ffffffff00000000');
});

describe('a port of a vsock', () => {
  async function serve(onLine: (line: string, socket: Socket) => void) {
    const path = join(directory, `vsock-${Math.random()}`);
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (chunk: Buffer) => onLine(chunk.toString(), socket));
    }).listen(path);
    await once(server, 'listening');
    return { address: { socket: path, port: 1024 }, server };
  }

  test('is asked for until somebody listens, and what comes with the answer is not lost', async () => {
    const asked: string[] = [];
    const { address, server } = await serve((line, socket) => {
      asked.push(line);
      if (asked.length < 3) socket.destroy();
      else socket.write('OK 1073741824\nfirst words');
    });
    const socket = await connectLine(address, signal());
    expect(String((await once(socket, 'data'))[0])).toBe('first words');
    expect(asked).toEqual(['CONNECT 1024\n', 'CONNECT 1024\n', 'CONNECT 1024\n']);
    socket.destroy();
    server.close();
  });

  test('is given up when asked to, and refused where the machine shows something else than a socket', async () => {
    const { address, server } = await serve((_line, socket) => socket.destroy());
    await expect(connectLine(address, AbortSignal.timeout(100))).rejects.toThrow();
    await symlink(address.socket, join(directory, 'elsewhere'));
    await expect(connectLine({ socket: join(directory, 'elsewhere'), port: 1 }, signal())).rejects.toMatchObject({ code: 'sandbox_lost' });
    await expect(connectLine({ socket: join(directory, 'nothing'), port: 1 }, signal())).rejects.toMatchObject({ code: 'ENOENT' });
    server.close();
  });
});
